//! The keys under which the pieces of a partitioned variable stand in a checkpoint's table.
//!
//! Source: `tensorflow/core/util/saved_tensor_slice_util.cc` (`EncodeTensorNameSlice`) and
//! `tensorflow/core/lib/strings/ordered_code.cc`.

/// One dimension of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First index.
    pub start: u64,
    /// How many; `None` for all of the dimension.
    pub length: Option<u64>,
}

/// The key of one slice of the variable `name`.
pub fn slice_key(name: &[u8], extents: &[Extent]) -> Vec<u8> {
    let mut key = Vec::new();
    put_number(&mut key, 0);
    put_text(&mut key, name);
    put_number(&mut key, extents.len() as u64);
    for extent in extents {
        put_signed(&mut key, extent.start.cast_signed());
        put_signed(&mut key, extent.length.map_or(-1, u64::cast_signed));
    }
    key
}

/// Byte count, then the number's bytes, highest first, without leading zeros.
fn put_number(key: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let skipped = (value.leading_zeros() / 8) as usize;
    key.push((bytes.len() - skipped) as u8);
    key.extend(bytes.iter().skip(skipped));
}

/// Text with its extreme bytes escaped, then a separator that sorts before all text.
fn put_text(key: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        key.push(byte);
        match byte {
            0 => key.push(0xff),
            0xff => key.push(0),
            _ => {}
        }
    }
    key.extend([0, 1]);
}

/// As many bytes as the number needs; the header bits that say how many are mixed with the sign, so that keys sort as numbers.
fn put_signed(key: &mut Vec<u8>, value: i64) {
    let magnitude = if value < 0 { !value } else { value }.cast_unsigned();
    if magnitude < 64 {
        key.push(0x80 ^ value as u8);
        return;
    }
    // n bytes hold 7n − 1 bits beside their header.
    let bits = 64 - magnitude.leading_zeros() as usize;
    let len = (bits + 1).div_ceil(7).min(10);
    let sign = if value < 0 { 0xff } else { 0 };
    let mut bytes = [sign; 10];
    for (to, from) in bytes.iter_mut().skip(2).zip(value.to_be_bytes()) {
        *to = from;
    }
    // The header is `len` ones, which may reach into the second byte.
    let header = (!0u16 << (16 - len)).to_be_bytes();
    let mut tail: Vec<u8> = bytes.iter().skip(10 - len).copied().collect();
    for (byte, bits) in tail.iter_mut().zip(header) {
        *byte ^= bits;
    }
    key.extend(tail);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_tensorflow_writes_them() {
        let extents = [Extent { start: 0, length: Some(2) }, Extent { start: 0, length: None }];
        assert_eq!(slice_key(b"w", &extents), b"\x00w\x00\x01\x01\x02\x80\x82\x80\x7f");
    }

    #[test]
    fn larger_numbers_take_more_bytes() {
        let encode = |value| {
            let mut key = Vec::new();
            put_signed(&mut key, value);
            key
        };
        assert_eq!(encode(63), [0xbf]);
        assert_eq!(encode(64), [0xc0, 64]);
        assert_eq!(encode(8191), [0xdf, 0xff]);
        assert_eq!(encode(8192), [0xe0, 0x20, 0]);
        assert_eq!(encode(-65), [0x3f, 0xbf]);
        assert_eq!(encode(i64::MAX), [0xff, 0xc0, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
    }
}
