//! Types of at most 16 bits: how often each code occurs tells every statistic, without touching the values again.

use super::key_table::KeyTable;
use crate::model::Dtype;

/// Bytes unpacked at a time; a multiple of every group of elements of these types.
const PART_BYTES: usize = 3 << 12;

/// Counts the codes of elements of at most 16 bits.
pub(super) fn count(dtype: &Dtype, bytes: &[u8], table: &mut KeyTable) {
    // The table takes iterators of known length; packed codes are unpacked in parts.
    match dtype.bits() {
        16 => table.add(bytes.as_chunks::<2>().0.iter().map(|&element| u16::from_le_bytes(element))),
        _ if matches!(dtype, Dtype::Float4E2m1 | Dtype::Float4E2m1fnX2) => {
            for part in bytes.chunks(PART_BYTES) {
                let codes: Vec<u16> =
                    part.iter().flat_map(|byte| [byte & 15, byte >> 4]).map(u16::from).collect();
                table.add(codes.into_iter());
            }
        }
        6 => {
            for part in bytes.chunks(PART_BYTES) {
                let groups = part.as_chunks::<3>().0.iter();
                let codes: Vec<u16> = groups
                    .map(|&[a, b, c]| u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16)
                    .flat_map(|group| (0..4).map(move |index| (group >> (6 * index) & 63) as u16))
                    .collect();
                table.add(codes.into_iter());
            }
        }
        _ => table.add(bytes.iter().map(|&byte| u16::from(byte))),
    }
}

/// The values that occur and how often, ascending, NaN last; equal values are joined.
pub(super) fn values(dtype: &Dtype, table: &KeyTable) -> Vec<(f64, u64)> {
    let mut decoded = Vec::new();
    let mut counted: Vec<(f64, u64)> = table
        .non_empty()
        .into_iter()
        .filter_map(|(code, count)| {
            let [low, high] = code.to_le_bytes();
            let bytes = [low, high, 0];
            decoded.clear();
            dtype.decode(&bytes[..dtype.group_bytes().min(3)], &mut decoded);
            decoded.first().map(|&value| (value, count))
        })
        .collect();
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
        Dtype::Float16 => 2f64.powi(-14),
        Dtype::Bfloat16 => 2f64.powi(-126),
        Dtype::Float8E4m3fn => 2f64.powi(-6),
        Dtype::Float8E5m2 => 2f64.powi(-14),
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
