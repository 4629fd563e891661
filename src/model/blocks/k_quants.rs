//! The types with 256 elements in a block, whose parts of 16 or 32 have quantized scales of their own.

use super::half;

/// Two bits per element: the element's place decides byte and shift. Used by `Q2_K`, `Q3_K` and, for its high
/// bits, `Q6_K`: 32 bytes hold 128 elements, a quarter of them in each pair of bits.
fn two_bits(bytes: &[u8], index: usize) -> u8 {
    let (half, quarter, at) = (index / 128, index / 32 % 4, index % 32);
    bytes[half * 32 + at] >> (2 * quarter) & 3
}

/// Four bits per element: each `width` bytes hold the low nibbles' elements, then the high nibbles'.
fn four_bits(bytes: &[u8], width: usize, index: usize) -> u8 {
    let (group, upper, at) = (index / (2 * width), index / width % 2, index % width);
    bytes[group * width + at] >> (4 * upper) & 15
}

/// `16 scales and minima | 64 bytes | half d | half dmin`
pub fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (d, dmin) = (half(block, 80), half(block, 82));
    for (index, to) in out.iter_mut().enumerate() {
        let scale = block[index / 16];
        let (scale, min) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
        *to = scale * f32::from(two_bits(&block[16..80], index)) - min;
    }
}

/// `32 bytes of high bits | 64 bytes | 12 bytes of scales | half d`
pub fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half(block, 108);
    let packed = &block[96..108];
    let scales: [f32; 16] = std::array::from_fn(|index| {
        let low = packed[index % 8] >> (4 * (index / 8)) & 15;
        let high = packed[8 + index % 4] >> (2 * (index / 4)) & 3;
        d * (f32::from(low | high << 4) - 32.0)
    });
    for (index, to) in out.iter_mut().enumerate() {
        let low = two_bits(&block[32..96], index);
        let high = block[index % 32] >> (index / 32) & 1;
        // The high bit is stored inverted.
        *to = scales[index / 16] * (f32::from(low) - if high == 0 { 4.0 } else { 0.0 });
    }
}

/// Scales and minima of eight parts, six bits each, in 12 bytes: four whole ones, then the rest in pieces.
fn scales_and_minima(packed: &[u8], d: f32, dmin: f32) -> [(f32, f32); 8] {
    std::array::from_fn(|index| {
        let (scale, min) = if index < 4 {
            (packed[index] & 63, packed[index + 4] & 63)
        } else {
            let low = packed[index + 4];
            (low & 15 | packed[index - 4] >> 2 & 0x30, low >> 4 | packed[index] >> 2 & 0x30)
        };
        (d * f32::from(scale), dmin * f32::from(min))
    })
}

/// `half d | half dmin | 12 bytes of scales and minima | 128 bytes`
pub fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let scales = scales_and_minima(&block[4..16], half(block, 0), half(block, 2));
    for (index, to) in out.iter_mut().enumerate() {
        let (scale, min) = scales[index / 32];
        *to = scale * f32::from(four_bits(&block[16..], 32, index)) - min;
    }
}

/// `half d | half dmin | 12 bytes of scales and minima | 32 bytes of high bits | 128 bytes`
pub fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let scales = scales_and_minima(&block[4..16], half(block, 0), half(block, 2));
    for (index, to) in out.iter_mut().enumerate() {
        let (scale, min) = scales[index / 32];
        let high = block[16 + index % 32] >> (index / 32) & 1;
        *to = scale * f32::from(four_bits(&block[48..], 32, index) | high << 4) - min;
    }
}

/// `128 bytes | 64 bytes of high bits | 16 signed scales | half d`
pub fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half(block, 208);
    for (index, to) in out.iter_mut().enumerate() {
        let scale = d * f32::from(block[192 + index / 16].cast_signed());
        let low = four_bits(&block[..128], 64, index);
        let high = two_bits(&block[128..192], index);
        *to = scale * (f32::from(low | high << 4) - 32.0);
    }
}

/// `float d | 256 signed bytes | 16 sums`
pub fn q8_k(block: &[u8; 292], out: &mut [f32; 256]) {
    let d = f32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    out.iter_mut().zip(&block[4..260]).for_each(|(to, q)| *to = d * f32::from(q.cast_signed()));
}
