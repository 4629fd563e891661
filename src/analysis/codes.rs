//! Types of at most 16 bits: how often each code occurs tells every statistic, without touching the values again.

use super::kernels::{ByteCounts, count_8, count_16};
use super::key_table::{self, Counters};
use crate::model::Dtype;

/// Elements of 16 bits that are kept as a list: most tensors of a checkpoint are small, and clearing and searching
/// 65,536 counters for each would take longer than reading it.
const LISTED: usize = 2048;

/// Bytes of 6-bit elements unpacked at a time; a multiple of their group.
const PART_BYTES: usize = 3 << 12;

/// Counts the codes of one type's elements.
#[derive(Clone)]
pub(super) enum Codes {
    /// 16 bits, few of them.
    Few(Vec<u16>),
    /// 16 bits, in the counters of the working memory.
    Many,
    /// 8 bits or less.
    Bytes(Box<Bytes>),
}

/// Counts per byte.
#[derive(Clone)]
pub(super) struct Bytes {
    recent: ByteCounts,
    /// Bytes in `recent`, whose counters have 32 bits.
    in_recent: u64,
    moved: Vec<(u16, u64)>,
    /// Working memory.
    unpacked: Vec<u8>,
}

impl Codes {
    pub fn new(dtype: &Dtype) -> Self {
        if dtype.bits() == 16 {
            return Self::Few(Vec::new());
        }
        let recent = [[0; 256]; 4];
        Self::Bytes(Box::new(Bytes { recent, in_recent: 0, moved: Vec::new(), unpacked: Vec::new() }))
    }

    /// Counts packed little-endian elements; at most 2^31 of them.
    pub fn push(&mut self, dtype: &Dtype, bytes: &[u8], counters: &mut Option<Counters>) {
        match self {
            Self::Few(list) => {
                let elements = bytes.as_chunks::<2>().0;
                if list.len() + elements.len() <= LISTED {
                    list.extend(elements.iter().map(|&element| u16::from_le_bytes(element)));
                    return;
                }
                let listed: Vec<[u8; 2]> = list.iter().map(|code| code.to_le_bytes()).collect();
                *self = Self::Many;
                let counters = counters.get_or_insert_with(Counters::new);
                count_16(&listed, counters.with_room_for(listed.len()));
                count_16(elements, counters.with_room_for(elements.len()));
            }
            Self::Many => {
                let elements = bytes.as_chunks::<2>().0;
                let counters = counters.get_or_insert_with(Counters::new);
                count_16(elements, counters.with_room_for(elements.len()));
            }
            Self::Bytes(counted) if dtype.bits() == 6 => {
                for part in bytes.chunks(PART_BYTES) {
                    let mut unpacked = std::mem::take(&mut counted.unpacked);
                    unpacked.clear();
                    for &[a, b, c] in part.as_chunks::<3>().0 {
                        let group = u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16;
                        unpacked.extend((0..4).map(|index| (group >> (6 * index) & 63) as u8));
                    }
                    counted.push(&unpacked);
                    counted.unpacked = unpacked;
                }
            }
            Self::Bytes(counted) => counted.push(bytes),
        }
    }

    /// The codes that occur and how often, ascending. Takes them out of the counters.
    pub fn take(self, dtype: &Dtype, counters: &mut Option<Counters>) -> Vec<(u16, u64)> {
        match self {
            Self::Few(list) => key_table::of_list(list),
            Self::Many => counters.as_mut().map(Counters::take).unwrap_or_default(),
            Self::Bytes(mut counted) => {
                counted.move_out();
                if matches!(dtype, Dtype::Float4E2m1 | Dtype::Float4E2m1fnX2) {
                    nibbles(&counted.moved)
                } else {
                    counted.moved
                }
            }
        }
    }
}

impl Bytes {
    fn push(&mut self, bytes: &[u8]) {
        if self.in_recent + bytes.len() as u64 > u64::from(u32::MAX) {
            self.move_out();
        }
        self.in_recent += bytes.len() as u64;
        count_8(bytes, &mut self.recent);
    }

    fn move_out(&mut self) {
        key_table::merge(&mut self.moved, &key_table::of_bytes(&self.recent));
        self.recent = [[0; 256]; 4];
        self.in_recent = 0;
    }
}

/// Two codes of 4 bits in each byte.
fn nibbles(bytes: &[(u16, u64)]) -> Vec<(u16, u64)> {
    let mut counts = [0u64; 16];
    for &(byte, count) in bytes {
        counts[usize::from(byte & 15)] += count;
        counts[usize::from(byte >> 4 & 15)] += count;
    }
    (0..).zip(counts).filter(|&(_, count)| count > 0).collect()
}

/// The values that occur and how often, ascending, NaN last; equal values are joined.
pub(super) fn values(dtype: &Dtype, counts: &[(u16, u64)]) -> Vec<(f64, u64)> {
    let mut counted: Vec<(f64, u64)> = Vec::with_capacity(counts.len());
    let mut decoded = Vec::with_capacity(counts.len());
    if dtype.bits() == 16 {
        let bytes: Vec<u8> = counts.iter().flat_map(|(code, _)| code.to_le_bytes()).collect();
        dtype.decode(&bytes, &mut decoded);
        counted.extend(decoded.iter().zip(counts).map(|(&value, &(_, count))| (value, count)));
    } else {
        for &(code, count) in counts {
            let bytes = [code as u8, 0, 0];
            decoded.clear();
            dtype.decode(&bytes[..dtype.group_bytes().min(3)], &mut decoded);
            counted.extend(decoded.first().map(|&value| (value, count)));
        }
    }
    // NaN of either sign goes last, where `total_cmp` would put one of them first.
    counted.sort_by(|(a, _), (b, _)| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
    counted.dedup_by(|(value, count), (kept, sum)| {
        let same = value == kept;
        if same {
            *sum += *count;
        }
        same
    });
    counted
}

/// The smallest number of a type that is not denormal; 0 where the type has no denormals.
pub(super) fn smallest_normal(dtype: &Dtype) -> f64 {
    match dtype {
        Dtype::Float16 | Dtype::Float8E5m2 => 2f64.powi(-14),
        Dtype::Bfloat16 => 2f64.powi(-126),
        Dtype::Float8E4m3fn => 2f64.powi(-6),
        Dtype::Float8E4m3fnuz => 2f64.powi(-7),
        Dtype::Float8E5m2fnuz => 2f64.powi(-15),
        Dtype::Float6E3m2 => 2f64.powi(-2),
        Dtype::Float6E2m3 | Dtype::Float4E2m1 | Dtype::Float4E2m1fnX2 => 1.0,
        _ => 0.0,
    }
}

/// The largest finite number of a narrow float, where conversion from a wider type ends up when it saturates.
///
/// Sources: OCP 8-bit floating point specification 1.0, table 1; OCP Microscaling Formats 1.0, tables 1-3; arXiv:2206.02915.
pub fn largest_finite(dtype: &Dtype) -> Option<f64> {
    Some(match dtype {
        Dtype::Float16 => 65_504.0,
        Dtype::Float8E4m3fn => 448.0,
        Dtype::Float8E5m2 | Dtype::Float8E5m2fnuz => 57_344.0,
        Dtype::Float8E4m3fnuz => 240.0,
        Dtype::Float6E3m2 => 28.0,
        Dtype::Float6E2m3 => 7.5,
        Dtype::Float4E2m1 | Dtype::Float4E2m1fnX2 => 6.0,
        _ => return None,
    })
}

/// Elements at plus or minus the largest number.
pub(super) fn saturated(dtype: &Dtype, counted: &[(f64, u64)]) -> Option<u64> {
    let largest = largest_finite(dtype)?;
    Some(counted.iter().filter(|(value, _)| value.abs() == largest).map(|(_, count)| count).sum())
}
