//! The types with one scale, or a scale and a minimum, for 32 elements.

use super::half;

/// The low and high four bits of the 16 bytes at `at`: elements 0 to 15, then 16 to 31.
fn nibbles<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> impl Iterator<Item = u8> {
    let bytes = &block[at..at + 16];
    bytes.iter().map(|byte| byte & 15).chain(bytes.iter().map(|byte| byte >> 4))
}

/// The same with a fifth bit from the 32 bits at `high`.
fn five_bits<const BYTES: usize>(block: &[u8; BYTES], high: usize, at: usize) -> impl Iterator<Item = u8> {
    let bits = u32::from_le_bytes([block[high], block[high + 1], block[high + 2], block[high + 3]]);
    nibbles(block, at).enumerate().map(move |(index, low)| low | ((bits >> index & 1) << 4) as u8)
}

/// `half d | 16 bytes`
pub fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half(block, 0);
    out.iter_mut().zip(nibbles(block, 2)).for_each(|(to, q)| *to = d * (f32::from(q) - 8.0));
}

/// `half d | half m | 16 bytes`
pub fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    out.iter_mut().zip(nibbles(block, 4)).for_each(|(to, q)| *to = d * f32::from(q) + m);
}

/// `half d | 32 high bits | 16 bytes`
pub fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half(block, 0);
    out.iter_mut().zip(five_bits(block, 2, 6)).for_each(|(to, q)| *to = d * (f32::from(q) - 16.0));
}

/// `half d | half m | 32 high bits | 16 bytes`
pub fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half(block, 0), half(block, 2));
    out.iter_mut().zip(five_bits(block, 4, 8)).for_each(|(to, q)| *to = d * f32::from(q) + m);
}

/// `half d | 32 signed bytes`
pub fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half(block, 0);
    out.iter_mut().zip(&block[2..]).for_each(|(to, q)| *to = f32::from(q.cast_signed()) * d);
}

/// `half d | half sum | 32 signed bytes`
pub fn q8_1(block: &[u8; 36], out: &mut [f32; 32]) {
    let d = half(block, 0);
    out.iter_mut().zip(&block[4..]).for_each(|(to, q)| *to = f32::from(q.cast_signed()) * d);
}
