//! The IQ1, IQ2 and IQ3 types: their codes choose groups of 4 or 8 magnitudes from a grid that ggml fixes.

use half::f16;

use super::half;

/// Codes of the grids' magnitudes, 2 bits each and, for the IQ3 types, 4 bits; made by `assets/ggml/generate.py`.
static GRIDS: &[u8; 9216] = include_bytes!("../../../assets/ggml/iq_grids.bin");

/// Where each grid begins in [`GRIDS`], in the order of the file.
const IQ2_XXS: usize = 0;
const IQ2_XS: usize = IQ2_XXS + 256 * 2;
const IQ2_S: usize = IQ2_XS + 512 * 2;
const IQ1: usize = IQ2_S + 1024 * 2;
const IQ3_XXS: usize = IQ1 + 2048 * 2;
const IQ3_S: usize = IQ3_XXS + 256 * 2;

/// Element `at` of 8 of the grid's entry `index`, which is below the grid's size.
fn of_eight(grid: usize, index: u16, at: usize) -> usize {
    let byte = GRIDS[grid + usize::from(index) * 2 + at / 4];
    usize::from(byte >> (2 * (at % 4)) & 3)
}

/// Element `at` of 4.
fn of_four(grid: usize, index: u16, at: usize) -> usize {
    let byte = GRIDS[grid + usize::from(index) * 2 + at / 2];
    usize::from(byte >> (4 * (at % 2)) & 15)
}

fn u16_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// Eight signs of which seven are stored: the number of minus signs is even.
fn eight_signs(seven: u8) -> u8 {
    seven | ((seven.count_ones() as u8 & 1) << 7)
}

fn signed(magnitude: f32, signs: u8, at: usize) -> f32 {
    if signs >> at & 1 == 0 { magnitude } else { -magnitude }
}

/// The four bits of number `index` in packed bytes, the low ones first.
fn nibble(bytes: &[u8], index: usize) -> u8 {
    bytes[index / 2] >> (4 * (index % 2)) & 15
}

const IQ2_MAGNITUDES: [f32; 4] = [8.0, 25.0, 43.0, 0.0];

/// `half d | 8 × (4 bytes of indices, 4 × 7 signs and a scale)`
pub fn iq2_xxs(block: &[u8; 66], out: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let (part, group, at) = (index / 32, index / 8 % 4, index % 8);
        let rest = u32_at(block, 2 + 8 * part + 4);
        let scale = d * (0.5 + (rest >> 28) as f32) * 0.25;
        let code = of_eight(IQ2_XXS, u16::from(block[2 + 8 * part + group]), at);
        let signs = eight_signs((rest >> (7 * group) & 127) as u8);
        *to = signed(scale * IQ2_MAGNITUDES[code], signs, at);
    }
}

/// `half d | 32 × (9 bits of index, 7 signs) | 8 bytes of scales`
pub fn iq2_xs(block: &[u8; 74], out: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let (group, at) = (index / 8, index % 8);
        let scale = d * (0.5 + f32::from(nibble(&block[66..], group / 2))) * 0.25;
        let entry = u16_at(block, 2 + 2 * group);
        let code = of_eight(IQ2_XS, entry & 511, at);
        *to = signed(scale * IQ2_MAGNITUDES[code], eight_signs((entry >> 9) as u8), at);
    }
}

/// `half d | 32 low bytes of indices | 32 bytes of signs | 8 bytes of high bits | 8 bytes of scales`
pub fn iq2_s(block: &[u8; 82], out: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let (group, at) = (index / 8, index % 8);
        let scale = d * (0.5 + f32::from(nibble(&block[74..], group / 2))) * 0.25;
        let high = block[66 + group / 4] >> (2 * (group % 4)) & 3;
        let code = of_eight(IQ2_S, u16::from(block[2 + group]) | u16::from(high) << 8, at);
        *to = signed(scale * IQ2_MAGNITUDES[code], block[34 + group], at);
    }
}

/// `half d | 64 bytes of indices | 8 × (4 × 7 signs and a scale)`
pub fn iq3_xxs(block: &[u8; 98], out: &mut [f32; 256]) {
    const MAGNITUDES: [f32; 8] = [4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0];
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let rest = u32_at(block, 66 + 4 * (index / 32));
        let scale = d * (0.5 + (rest >> 28) as f32) * 0.5;
        let signs = eight_signs((rest >> (7 * (index / 8 % 4)) & 127) as u8);
        let code = of_four(IQ3_XXS, u16::from(block[2 + index / 4]), index % 4);
        *to = signed(scale * MAGNITUDES[code & 7], signs, index % 8);
    }
}

/// `half d | 64 low bytes of indices | 8 bytes of high bits | 32 bytes of signs | 4 bytes of scales`
pub fn iq3_s(block: &[u8; 110], out: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let scale = d * (1.0 + 2.0 * f32::from(nibble(&block[106..], index / 32)));
        let group = index / 4;
        let high = block[66 + group / 8] >> (group % 8) & 1;
        let code = of_four(IQ3_S, u16::from(block[2 + group]) | u16::from(high) << 8, index % 4);
        // The magnitudes are the odd numbers up to 15.
        *to = signed(scale * (2 * code + 1) as f32, block[74 + index / 8], index % 8);
    }
}

/// What the codes of the IQ1 types stand for, moved by an eighth up or down.
fn ternary(code: usize, down: bool) -> f32 {
    code as f32 - 1.0 + if down { -0.125 } else { 0.125 }
}

/// `half d | 32 low bytes of indices | 8 × (4 × 3 high bits, 3 bits of scale, direction)`
pub fn iq1_s(block: &[u8; 50], out: &mut [f32; 256]) {
    let d = half(block, 0);
    for (index, to) in out.iter_mut().enumerate() {
        let (part, group) = (index / 32, index / 8 % 4);
        let rest = u16_at(block, 34 + 2 * part);
        let scale = d * f32::from(2 * (rest >> 12 & 7) + 1);
        let entry = u16::from(block[2 + index / 8]) | (rest >> (3 * group) & 7) << 8;
        *to = scale * ternary(of_eight(IQ1, entry, index % 8), rest & 0x8000 != 0);
    }
}

/// `32 low bytes of indices | 16 bytes of 3 high bits and a direction | 4 × (4 × 3 bits of scale, a quarter of half d)`
pub fn iq1_m(block: &[u8; 56], out: &mut [f32; 256]) {
    let scales: [u16; 4] = std::array::from_fn(|index| u16_at(block, 48 + 2 * index));
    let bits = scales.iter().enumerate().fold(0, |bits, (index, scale)| bits | (scale >> 12) << (4 * index));
    let d = f16::from_bits(bits).to_f32();
    for (index, to) in out.iter_mut().enumerate() {
        let part = index / 16;
        let scale = d * f32::from(2 * (scales[part / 4] >> (3 * (part % 4)) & 7) + 1);
        let rest = nibble(&block[32..48], index / 8);
        let entry = u16::from(block[index / 8]) | u16::from(rest & 7) << 8;
        *to = scale * ternary(of_eight(IQ1, entry, index % 8), rest & 8 != 0);
    }
}
