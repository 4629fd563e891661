//! Pieces of an HDF5 file: object headers, their messages, heaps and the superblock.
//!
//! The newest forms that HDF5 1.8 reads: superblock 2, object headers 2, links in the headers. Source: the HDF5 File Format
//! Specification 3.0, <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>.

use crate::export::ExportError;
use crate::model::Dtype;

/// Stands for "no address".
pub(super) const UNDEFINED: u64 = u64::MAX;

/// Bytes of the superblock.
pub(super) const SUPERBLOCK_BYTES: usize = 48;

/// Section II.B of the specification.
pub(super) fn superblock(root: u64, end_of_file: u64) -> Vec<u8> {
    let mut bytes = b"\x89HDF\r\n\x1a\n".to_vec();
    bytes.extend([2, 8, 8, 0]); // version, sizes of offsets and lengths, flags
    for address in [0, UNDEFINED, end_of_file, root] {
        bytes.extend(address.to_le_bytes());
    }
    bytes.extend(lookup3(&bytes).to_le_bytes());
    bytes
}

/// An object header, version 2 (section IV.A.1.b).
#[derive(Default)]
pub(super) struct Header {
    messages: Vec<u8>,
}

/// Kinds of messages (section IV.A.2).
pub(super) mod kind {
    pub const DATASPACE: u8 = 1;
    pub const LINK_INFO: u8 = 2;
    pub const DATATYPE: u8 = 3;
    pub const FILL_VALUE: u8 = 5;
    pub const LINK: u8 = 6;
    pub const LAYOUT: u8 = 8;
    pub const GROUP_INFO: u8 = 10;
    pub const ATTRIBUTE: u8 = 12;
}

impl Header {
    /// Adds a message. One message has at most 65,535 bytes.
    pub fn push(&mut self, kind: u8, data: &[u8]) -> Result<(), ExportError> {
        let size = u16::try_from(data.len())
            .map_err(|_| ExportError::refused("a name or an attribute is too long for HDF5"))?;
        self.messages.push(kind);
        self.messages.extend(size.to_le_bytes());
        self.messages.push(0);
        self.messages.extend(data);
        Ok(())
    }

    pub fn finish(self) -> Result<Vec<u8>, ExportError> {
        let size = u32::try_from(self.messages.len())
            .map_err(|_| ExportError::refused("one group would hold too many names for HDF5"))?;
        let mut bytes = b"OHDR\x02\x02".to_vec(); // version 2; the size of the messages takes four bytes
        bytes.extend(size.to_le_bytes());
        bytes.extend(self.messages);
        bytes.extend(lookup3(&bytes).to_le_bytes());
        Ok(bytes)
    }
}

/// A hard link, with a name in UTF-8.
pub(super) fn link(name: &str, address: u64) -> Result<Vec<u8>, ExportError> {
    let length =
        u16::try_from(name.len()).map_err(|_| ExportError::refused("a name is too long for HDF5"))?;
    let mut bytes = vec![1, 0x11, 1]; // version; two bytes of length and a character set; UTF-8
    bytes.extend(length.to_le_bytes());
    bytes.extend(name.bytes());
    bytes.extend(address.to_le_bytes());
    Ok(bytes)
}

/// Links stand in the header, their order of creation does not matter.
pub(super) fn link_info() -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(UNDEFINED.to_le_bytes());
    bytes.extend(UNDEFINED.to_le_bytes());
    bytes
}

/// An attribute, version 3.
pub(super) fn attribute(
    name: &str,
    datatype: &[u8],
    dataspace: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, ExportError> {
    let length =
        u16::try_from(name.len() + 1).map_err(|_| ExportError::refused("a name is too long for HDF5"))?;
    let mut bytes = vec![3, 0];
    bytes.extend(length.to_le_bytes());
    bytes.extend((datatype.len() as u16).to_le_bytes());
    bytes.extend((dataspace.len() as u16).to_le_bytes());
    bytes.push(1); // the name is UTF-8
    bytes.extend(name.bytes().chain([0]));
    bytes.extend([datatype, dataspace, data].concat());
    Ok(bytes)
}

/// Dimensions; none for a scalar.
pub(super) fn dataspace(dims: &[u64]) -> Vec<u8> {
    let mut bytes = vec![2, dims.len() as u8, 0, u8::from(!dims.is_empty())];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
    bytes
}

/// Values in one place.
pub(super) fn contiguous(address: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![3, 1];
    bytes.extend(address.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes
}

/// Nothing but the values is ever written to a dataset: the library's default.
pub(super) const FILL_VALUE: [u8; 2] = [3, 0x0a];

/// A datatype as h5py writes numpy's: truth values as an enumeration, complex numbers as a compound of `r` and `i`.
pub(super) fn datatype(dtype: &Dtype) -> Option<Vec<u8>> {
    Some(match dtype {
        Dtype::Float64 => float(8, 52, 11),
        Dtype::Float32 => float(4, 23, 8),
        Dtype::Float16 => float(2, 10, 5),
        Dtype::Int64 => integer(8, true),
        Dtype::Int32 => integer(4, true),
        Dtype::Int16 => integer(2, true),
        Dtype::Int8 => integer(1, true),
        Dtype::Uint64 => integer(8, false),
        Dtype::Uint32 => integer(4, false),
        Dtype::Uint16 => integer(2, false),
        Dtype::Uint8 => integer(1, false),
        Dtype::Bool => {
            let mut bytes = class(8, 3, [2, 0, 0], 1);
            bytes.extend(integer(1, true));
            bytes.extend(*b"FALSE\0TRUE\0\x00\x01");
            bytes
        }
        Dtype::Complex128 => complex(&float(8, 52, 11), 8),
        Dtype::Complex64 => complex(&float(4, 23, 8), 4),
        _ => return None,
    })
}

/// Text of a fixed number of bytes in UTF-8, the rest filled with zeros.
pub(super) fn fixed_text(size: u32) -> Vec<u8> {
    class(3, 1, [0x11, 0, 0], size)
}

/// Text of any length in UTF-8, which lies in a heap.
pub(super) fn variable_text() -> Vec<u8> {
    let mut bytes = class(9, 1, [1, 1, 0], 16);
    bytes.extend(integer(1, false));
    bytes
}

/// What stands in the place of a text that lies in a heap.
pub(super) fn heap_reference(length: u32, heap: u64) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(heap.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes
}

/// A global heap with one object, number 1 (section III.E).
pub(super) fn heap(object: &[u8]) -> Vec<u8> {
    /// The library makes none smaller.
    const LEAST: usize = 4096;
    let padded = object.len().next_multiple_of(8);
    let size = (16 + 16 + padded + 16).max(LEAST);
    let mut bytes = b"GCOL\x01\0\0\0".to_vec();
    bytes.extend((size as u64).to_le_bytes());
    bytes.extend([1, 0, 1, 0, 0, 0, 0, 0]); // number, references
    bytes.extend((object.len() as u64).to_le_bytes());
    bytes.extend(object);
    bytes.resize(32 + padded, 0);
    let free = (size - bytes.len()) as u64;
    bytes.extend([0; 8]); // number 0 is the free space
    bytes.extend(free.to_le_bytes());
    bytes.resize(size, 0);
    bytes
}

fn class(class: u8, version: u8, bits: [u8; 3], size: u32) -> Vec<u8> {
    let mut bytes = vec![version << 4 | class];
    bytes.extend(bits);
    bytes.extend(size.to_le_bytes());
    bytes
}

fn integer(size: u32, signed: bool) -> Vec<u8> {
    let mut bytes = class(0, 1, [u8::from(signed) << 3, 0, 0], size);
    bytes.extend(0u16.to_le_bytes());
    bytes.extend((size as u16 * 8).to_le_bytes());
    bytes
}

/// IEEE 754, little-endian: the sign above the exponent above the mantissa, whose first bit is implied.
fn float(size: u32, mantissa: u8, exponent: u8) -> Vec<u8> {
    let bits = size as u8 * 8;
    let mut bytes = class(1, 1, [0x20, bits - 1, 0], size);
    bytes.extend(0u16.to_le_bytes());
    bytes.extend(u16::from(bits).to_le_bytes());
    bytes.extend([mantissa, exponent, 0, mantissa]);
    bytes.extend(((1u32 << (exponent - 1)) - 1).to_le_bytes());
    bytes
}

fn complex(part: &[u8], size: u8) -> Vec<u8> {
    let mut bytes = class(6, 3, [2, 0, 0], u32::from(size) * 2);
    for (name, offset) in [(b'r', 0), (b'i', size)] {
        bytes.extend([name, 0, offset]);
        bytes.extend(part);
    }
    bytes
}

/// The checksum of HDF5's metadata: `hashlittle` of Bob Jenkins's lookup3, <https://burtleburtle.net/bob/c/lookup3.c>.
fn lookup3(bytes: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    let word = |bytes: &[u8], at: usize| {
        (0..4).fold(0u32, |word, byte| {
            word | u32::from(bytes.get(at + byte).copied().unwrap_or(0)) << (8 * byte)
        })
    };
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<12>()
        && !after.is_empty()
    {
        a = a.wrapping_add(word(block, 0));
        b = b.wrapping_add(word(block, 4));
        c = c.wrapping_add(word(block, 8));
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        rest = after;
    }
    if rest.is_empty() {
        return c;
    }
    a = a.wrapping_add(word(rest, 0));
    b = b.wrapping_add(word(rest, 4));
    c = c.wrapping_add(word(rest, 8));
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_lookup3() {
        // From the driver in lookup3.c, with an initial value of 0.
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn a_header_is_as_long_as_it_says() {
        let mut header = Header::default();
        header.push(kind::FILL_VALUE, &FILL_VALUE).expect("a small message");
        let bytes = header.finish().expect("a small header");
        assert_eq!(bytes.len(), 6 + 4 + 4 + 2 + 4);
        assert!(Header::default().push(kind::LINK, &vec![0; 70_000]).is_err());
    }
}
