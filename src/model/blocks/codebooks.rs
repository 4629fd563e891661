//! The types whose codes stand for values of a small table, and the ternary ones.

use super::half;

/// Source: `kvalues_iq4nl` in ggml-common.h.
const IQ4: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0,
];

/// 4-bit floats (e2m1), doubled: the scales are halved instead.
const E2M1_DOUBLED: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

/// The values of the low nibbles of `codes`, then of the high ones, times `scale`.
fn look_up(codes: &[u8], table: &[f32; 16], scale: f32, out: &mut [f32]) {
    let low = codes.iter().map(|code| code & 15);
    let high = codes.iter().map(|code| code >> 4);
    out.iter_mut().zip(low.chain(high)).for_each(|(to, code)| *to = scale * table[usize::from(code)]);
}

/// `half d | 16 bytes`
pub fn iq4_nl(block: &[u8; 18], out: &mut [f32; 32]) {
    look_up(&block[2..], &IQ4, half(block, 0), out);
}

/// `half d | 16 high bits of scales | 4 bytes of scales | 128 bytes`
pub fn iq4_xs(block: &[u8; 136], out: &mut [f32; 256]) {
    let d = half(block, 0);
    let high = u16::from_le_bytes([block[2], block[3]]);
    for (part, (codes, out)) in block[8..].chunks_exact(16).zip(out.chunks_exact_mut(32)).enumerate() {
        let low = block[4 + part / 2] >> (4 * (part % 2)) & 15;
        let scale = low | ((high >> (2 * part) & 3) << 4) as u8;
        look_up(codes, &IQ4, d * (f32::from(scale) - 32.0), out);
    }
}

/// `exponent | 16 bytes`. Source: OCP Microscaling Formats specification 1.0.
pub fn mxfp4(block: &[u8; 17], out: &mut [f32; 32]) {
    // Half of 2^(e-127), of which the two smallest are subnormal.
    let exponent = u32::from(block[0]);
    let bits = if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 };
    look_up(&block[1..], &E2M1_DOUBLED, f32::from_bits(bits), out);
}

/// `4 unsigned 8-bit floats (e4m3) | 4 × 8 bytes`
pub fn nvfp4(block: &[u8; 36], out: &mut [f32; 64]) {
    for (part, (codes, out)) in block[4..].chunks_exact(8).zip(out.chunks_exact_mut(16)).enumerate() {
        let scale = block[part];
        let (exponent, mantissa) = (i32::from(scale >> 3 & 15), f32::from(scale & 7));
        let scale = match scale {
            0 | 0x7f => 0.0,
            _ if exponent == 0 => mantissa * 2f32.powi(-9) * 0.5,
            _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7) * 0.5,
        };
        look_up(codes, &E2M1_DOUBLED, scale, out);
    }
}

/// Five ternary digits a byte, the most significant first: `48 bytes | 4 bytes of four digits | half d`
pub fn tq1_0(block: &[u8; 54], out: &mut [f32; 256]) {
    let d = half(block, 52);
    // Bytes, digits in each, and how many bytes stand side by side for one digit.
    let parts = [(0usize, 5usize, 32usize), (32, 5, 16), (48, 4, 4)];
    let digits = parts.iter().flat_map(|&(start, digits, width)| {
        (0..digits).flat_map(move |digit| (0..width).map(move |at| (start + at, digit)))
    });
    for (to, (at, digit)) in out.iter_mut().zip(digits) {
        // The byte is a fraction of 256: times 3^digit, its next digit is the part above 256.
        let shifted = block[at].wrapping_mul([1, 3, 9, 27, 81][digit]);
        *to = d * (f32::from(u16::from(shifted) * 3 >> 8) - 1.0);
    }
}

/// `64 bytes | half d`
pub fn tq2_0(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half(block, 64);
    for (index, to) in out.iter_mut().enumerate() {
        let code = block[index / 128 * 32 + index % 32] >> (2 * (index / 32 % 4)) & 3;
        *to = d * (f32::from(code) - 1.0);
    }
}
