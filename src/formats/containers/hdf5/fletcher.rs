//! The checksum that HDF5's Fletcher-32 filter puts behind each chunk.
//!
//! Source: `H5_checksum_fletcher32` in `src/H5checksum.c` and `H5Z__filter_fletcher32` in `src/H5Zfletcher32.c` of
//! <https://github.com/HDFGroup/hdf5/tree/hdf5_1.14.6>.

/// The values before the checksum; `None` where it is not theirs.
pub(super) fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let (values, stored) = bytes.split_last_chunk::<4>()?;
    let sum = checksum(values).to_le_bytes();
    // HDF5 1.6.2 and before exchanged the bytes of each half on some machines; the library takes both.
    let [a, b, c, d] = sum;
    (*stored == sum || *stored == [b, a, d, c]).then_some(values)
}

/// Sums over big-endian words of 16 bits, modulo 65,535.
fn checksum(values: &[u8]) -> u32 {
    let (mut first, mut second) = (0u32, 0u32);
    let (words, rest) = values.as_chunks::<2>();
    // So many words fit before the sums overflow.
    for part in words.chunks(360) {
        for &word in part {
            first += u32::from(u16::from_be_bytes(word));
            second += first;
        }
        first = (first & 0xffff) + (first >> 16);
        second = (second & 0xffff) + (second >> 16);
    }
    if let [last] = rest {
        first += u32::from(*last) << 8;
        second += first;
    }
    for _ in 0..2 {
        first = (first & 0xffff) + (first >> 16);
        second = (second & 0xffff) + (second >> 16);
    }
    second << 16 | first
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks as HDF5 1.14 wrote them through h5py.
    #[test]
    fn checksums_are_those_of_the_library() {
        for (values, stored) in [
            ((0..5u8).collect::<Vec<u8>>(), [0x04, 0x06, 0x09, 0x08]),
            (
                [0f32, 1.0, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect(),
                [0x7f, 0x80, 0xfe, 0x80],
            ),
            ((0..2000u32).map(|value| value as u8).collect(), [0x28, 0x44, 0x7d, 0x04]),
        ] {
            let mut chunk = values.clone();
            chunk.extend(stored);
            assert_eq!(verified(&chunk), Some(values.as_slice()));
            chunk[1] ^= 1;
            assert_eq!(verified(&chunk), None);
        }
        assert_eq!(verified(&[1, 2, 3]), None);
    }
}
