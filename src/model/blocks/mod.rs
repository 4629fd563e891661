//! Block-quantized element types of ggml: names, sizes, and the values that their blocks stand for.
//!
//! A block holds a fixed number of elements that share scales. Pure functions over the bytes of blocks; which tensor
//! has which type is for the formats to say. Arithmetic is in `f32`, in the order of the reference.
//!
//! Sources: <https://github.com/ggml-org/llama.cpp/blob/b6000/ggml/src/ggml-common.h> (layouts),
//! <https://github.com/ggml-org/llama.cpp/blob/b6000/gguf-py/gguf/quants.py> (values).

mod codebooks;
mod grids;
mod k_quants;
mod simple;

use half::f16;

/// A block-quantized type, under ggml's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, non_camel_case_types, reason = "each variant is the type of that name")]
pub enum BlockType {
    Q1_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ1_S,
    IQ1_M,
    IQ2_XXS,
    IQ2_XS,
    IQ2_S,
    IQ3_XXS,
    IQ3_S,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
    /// Like `Q4_0`, with the blocks of four rows interleaved; no longer written.
    Q4_0_4_4,
    Q4_0_4_8,
    Q4_0_8_8,
}

/// Name, elements per block, bytes per block.
type Layout = (&'static str, usize, usize);

impl BlockType {
    fn layout(self) -> Layout {
        match self {
            Self::Q1_0 => ("Q1_0", 128, 18),
            Self::Q4_0 => ("Q4_0", 32, 18),
            Self::Q4_1 => ("Q4_1", 32, 20),
            Self::Q5_0 => ("Q5_0", 32, 22),
            Self::Q5_1 => ("Q5_1", 32, 24),
            Self::Q8_0 => ("Q8_0", 32, 34),
            Self::Q8_1 => ("Q8_1", 32, 36),
            Self::Q2_K => ("Q2_K", 256, 84),
            Self::Q3_K => ("Q3_K", 256, 110),
            Self::Q4_K => ("Q4_K", 256, 144),
            Self::Q5_K => ("Q5_K", 256, 176),
            Self::Q6_K => ("Q6_K", 256, 210),
            Self::Q8_K => ("Q8_K", 256, 292),
            Self::IQ1_S => ("IQ1_S", 256, 50),
            Self::IQ1_M => ("IQ1_M", 256, 56),
            Self::IQ2_XXS => ("IQ2_XXS", 256, 66),
            Self::IQ2_XS => ("IQ2_XS", 256, 74),
            Self::IQ2_S => ("IQ2_S", 256, 82),
            Self::IQ3_XXS => ("IQ3_XXS", 256, 98),
            Self::IQ3_S => ("IQ3_S", 256, 110),
            Self::IQ4_NL => ("IQ4_NL", 32, 18),
            Self::IQ4_XS => ("IQ4_XS", 256, 136),
            Self::TQ1_0 => ("TQ1_0", 256, 54),
            Self::TQ2_0 => ("TQ2_0", 256, 66),
            Self::MXFP4 => ("MXFP4", 32, 17),
            Self::NVFP4 => ("NVFP4", 64, 36),
            Self::Q4_0_4_4 => ("Q4_0_4_4", 32, 18),
            Self::Q4_0_4_8 => ("Q4_0_4_8", 32, 18),
            Self::Q4_0_8_8 => ("Q4_0_8_8", 32, 18),
        }
    }

    /// ggml's name.
    pub fn name(self) -> &'static str {
        self.layout().0
    }

    /// Elements of one block.
    pub fn elements(self) -> usize {
        self.layout().1
    }

    /// Bytes of one block.
    pub fn bytes(self) -> usize {
        self.layout().2
    }

    /// Whether [`Self::decode`] knows the values.
    pub fn is_decoded(self) -> bool {
        !matches!(self, Self::Q1_0 | Self::Q4_0_4_4 | Self::Q4_0_4_8 | Self::Q4_0_8_8)
    }

    /// Where the 16-bit numbers of a block stand, for a file of the other byte order; `None` where it is not known
    /// how such a file stores them. Source: `gguf-py/gguf/scripts/gguf_convert_endian.py`.
    pub fn halves(self) -> Option<&'static [usize]> {
        match self {
            Self::Q4_0 | Self::Q8_0 => Some(&[0]),
            Self::Q4_K => Some(&[0, 2]),
            Self::Q6_K => Some(&[208]),
            Self::MXFP4 | Self::NVFP4 => Some(&[]),
            _ => None,
        }
    }

    /// Appends the values of whole blocks to `out`; nothing where [`Self::is_decoded`] is false.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<f64>) {
        match self {
            Self::Q4_0 => each(bytes, out, simple::q4_0),
            Self::Q4_1 => each(bytes, out, simple::q4_1),
            Self::Q5_0 => each(bytes, out, simple::q5_0),
            Self::Q5_1 => each(bytes, out, simple::q5_1),
            Self::Q8_0 => each(bytes, out, simple::q8_0),
            Self::Q8_1 => each(bytes, out, simple::q8_1),
            Self::Q2_K => each(bytes, out, k_quants::q2_k),
            Self::Q3_K => each(bytes, out, k_quants::q3_k),
            Self::Q4_K => each(bytes, out, k_quants::q4_k),
            Self::Q5_K => each(bytes, out, k_quants::q5_k),
            Self::Q6_K => each(bytes, out, k_quants::q6_k),
            Self::Q8_K => each(bytes, out, k_quants::q8_k),
            Self::IQ1_S => each(bytes, out, grids::iq1_s),
            Self::IQ1_M => each(bytes, out, grids::iq1_m),
            Self::IQ2_XXS => each(bytes, out, grids::iq2_xxs),
            Self::IQ2_XS => each(bytes, out, grids::iq2_xs),
            Self::IQ2_S => each(bytes, out, grids::iq2_s),
            Self::IQ3_XXS => each(bytes, out, grids::iq3_xxs),
            Self::IQ3_S => each(bytes, out, grids::iq3_s),
            Self::IQ4_NL => each(bytes, out, codebooks::iq4_nl),
            Self::IQ4_XS => each(bytes, out, codebooks::iq4_xs),
            Self::TQ1_0 => each(bytes, out, codebooks::tq1_0),
            Self::TQ2_0 => each(bytes, out, codebooks::tq2_0),
            Self::MXFP4 => each(bytes, out, codebooks::mxfp4),
            Self::NVFP4 => each(bytes, out, codebooks::nvfp4),
            Self::Q1_0 | Self::Q4_0_4_4 | Self::Q4_0_4_8 | Self::Q4_0_8_8 => {}
        }
    }
}

/// Dequantizes block after block of `BYTES` bytes into `ELEMENTS` values.
fn each<const BYTES: usize, const ELEMENTS: usize>(
    bytes: &[u8],
    out: &mut Vec<f64>,
    dequantize: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    let mut values = [0.0; ELEMENTS];
    for block in bytes.as_chunks::<BYTES>().0 {
        dequantize(block, &mut values);
        out.extend(values.iter().map(|&value| f64::from(value)));
    }
}

/// The 16-bit float at `at`, which is a constant within the block.
fn half<const BYTES: usize>(block: &[u8; BYTES], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [BlockType; 29] = [
        BlockType::Q1_0,
        BlockType::Q4_0,
        BlockType::Q4_1,
        BlockType::Q5_0,
        BlockType::Q5_1,
        BlockType::Q8_0,
        BlockType::Q8_1,
        BlockType::Q2_K,
        BlockType::Q3_K,
        BlockType::Q4_K,
        BlockType::Q5_K,
        BlockType::Q6_K,
        BlockType::Q8_K,
        BlockType::IQ1_S,
        BlockType::IQ1_M,
        BlockType::IQ2_XXS,
        BlockType::IQ2_XS,
        BlockType::IQ2_S,
        BlockType::IQ3_XXS,
        BlockType::IQ3_S,
        BlockType::IQ4_NL,
        BlockType::IQ4_XS,
        BlockType::TQ1_0,
        BlockType::TQ2_0,
        BlockType::MXFP4,
        BlockType::NVFP4,
        BlockType::Q4_0_4_4,
        BlockType::Q4_0_4_8,
        BlockType::Q4_0_8_8,
    ];

    #[test]
    fn whole_blocks_become_as_many_values_as_they_hold() {
        for block in ALL {
            for byte in [0, 0xff, 0x5a] {
                let mut out = Vec::new();
                block.decode(&vec![byte; 3 * block.bytes()], &mut out);
                let expected = if block.is_decoded() { 3 * block.elements() } else { 0 };
                assert_eq!(out.len(), expected, "{}", block.name());
            }
        }
    }

    #[test]
    fn a_scale_of_one_shows_the_codes() {
        let mut block = vec![0x00, 0x3c];
        block.extend([0x80; 16]);
        let mut out = Vec::new();
        BlockType::Q4_0.decode(&block, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (-8.0, -8.0, 0.0, 0.0));
    }
}
