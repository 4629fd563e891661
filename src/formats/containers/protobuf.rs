//! Protobuf wire format: fields, varints, nesting limit.
//!
//! [`Message`] walks fields of bytes in memory without copying them; [`SourceFields`] walks the fields of a range
//! of a file and skips over what nobody asks for, so a graph of gigabytes costs only its headers. Knows no schema.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.
//!
//! ```text
//! field := varint(number << 3 | type) payload
//! payload by type: 0 varint | 1 eight bytes | 2 varint(length) bytes | 5 four bytes
//! ```

use crate::model::ReadError;
use crate::raw::{ByteSource, limits};

/// One field's payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Payload<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// One field of a message in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// Its number in the schema.
    pub number: u32,
    /// What it holds.
    pub payload: Payload<'a>,
    /// Where its payload begins (behind the length, for bytes), in the file or stream the message is of.
    pub offset: u64,
    depth: usize,
}

impl<'a> Field<'a> {
    /// The number of a varint field; 0 for any other type.
    pub fn number_value(&self) -> u64 {
        match self.payload {
            Payload::Varint(value) | Payload::Fixed64(value) => value,
            Payload::Fixed32(value) => u64::from(value),
            Payload::Bytes(_) => 0,
        }
    }

    /// The bytes of a length-delimited field; empty for any other type.
    pub fn bytes(&self) -> &'a [u8] {
        if let Payload::Bytes(bytes) = self.payload { bytes } else { &[] }
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The bytes as a message one level deeper. Fails at [`limits::NESTING`].
    pub fn message(&self) -> Result<Message<'a>, ReadError> {
        if self.depth >= limits::NESTING {
            return Err(ReadError::OverLimit {
                what: "the nesting of protobuf messages".into(),
                value: self.depth as u64,
                limit: limits::NESTING as u64,
            });
        }
        let Payload::Bytes(bytes) = self.payload else {
            return Err(ReadError::malformed(
                "a protobuf message",
                self.offset,
                "a number stands where a message belongs",
            ));
        };
        Ok(Message { bytes, position: 0, base: self.offset, depth: self.depth + 1, failed: false })
    }

    /// The varints of a repeated field, packed or not.
    pub fn varints(&self) -> Result<Vec<u64>, ReadError> {
        let Payload::Bytes(bytes) = self.payload else { return Ok(vec![self.number_value()]) };
        let mut values = Vec::new();
        let mut position = 0;
        while position < bytes.len() {
            values.push(varint(bytes, &mut position, self.offset)?);
        }
        Ok(values)
    }
}

/// The fields of a message in memory, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    position: usize,
    base: u64,
    depth: usize,
    failed: bool,
}

impl<'a> Message<'a> {
    /// Over `bytes`, which stand at `base` in the file.
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, position: 0, base, depth: 0, failed: false }
    }

    fn field(&mut self) -> Result<Field<'a>, ReadError> {
        let start = self.base + self.position as u64;
        let tag = varint(self.bytes, &mut self.position, self.base)?;
        let number = field_number(tag, start)?;
        let mut offset = self.base + self.position as u64;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(self.bytes, &mut self.position, self.base)?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = varint(self.bytes, &mut self.position, self.base)?;
                offset = self.base + self.position as u64;
                Payload::Bytes(self.take(len)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            wire_type => return Err(bad_wire_type(wire_type, start)),
        };
        Ok(Field { number, payload, offset, depth: self.depth })
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], ReadError> {
        let end = usize::try_from(len).ok().and_then(|len| self.position.checked_add(len));
        let Some(taken) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(ReadError::Truncated {
                what: "a protobuf field".into(),
                offset: self.base + self.position as u64,
                needed: len,
                available: (self.bytes.len() - self.position) as u64,
            });
        };
        self.position += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        self.failed = field.is_err();
        Some(field)
    }
}

/// One field of a message in a file; bytes are a range that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceField {
    /// Its number in the schema.
    pub number: u32,
    /// What it holds.
    pub payload: SourcePayload,
}

/// Payload of a [`SourceField`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePayload {
    /// A number, of whichever wire type.
    Number(u64),
    /// Bytes at an offset of the source; they lie within it.
    Range {
        /// From the start of the source.
        offset: u64,
        /// How many.
        len: u64,
    },
}

/// The fields of a message that is a range of a source, in order. Ends after the first error.
#[derive(Debug)]
pub struct SourceFields<'a> {
    source: &'a ByteSource,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    failed: bool,
}

impl<'a> SourceFields<'a> {
    /// Bytes read at a time: some hundred field headers of a graph.
    const WINDOW: u64 = 32 << 10;
    /// A tag and a length, at their longest.
    const HEADER: u64 = 20;

    /// Over `len` bytes of `source` from `offset`.
    pub fn new(source: &'a ByteSource, offset: u64, len: u64) -> Result<Self, ReadError> {
        source.check("a protobuf message", offset, len)?;
        Ok(Self {
            source,
            position: offset,
            end: offset + len,
            window: Vec::new(),
            window_start: offset,
            failed: false,
        })
    }

    fn field(&mut self) -> Result<SourceField, ReadError> {
        let start = self.position;
        let window_end = self.window_start + self.window.len() as u64;
        if start < self.window_start || (start + Self::HEADER > window_end && window_end < self.end) {
            let len = Self::WINDOW.min(self.end - start);
            self.window = self.source.read_up_to("protobuf fields", start, len)?;
            self.window_start = start;
        }
        let mut at = (start - self.window_start) as usize;
        let tag = varint(&self.window, &mut at, self.window_start)?;
        let number = field_number(tag, start)?;
        let fixed = |len: u64, at: usize| SourcePayload::Range { offset: self.window_start + at as u64, len };
        let payload = match tag & 7 {
            0 => SourcePayload::Number(varint(&self.window, &mut at, self.window_start)?),
            1 => fixed(8, at),
            2 => {
                let len = varint(&self.window, &mut at, self.window_start)?;
                fixed(len, at)
            }
            5 => fixed(4, at),
            wire_type => return Err(bad_wire_type(wire_type, start)),
        };
        self.position = self.window_start + at as u64;
        if let SourcePayload::Range { offset, len } = payload {
            let end = offset.checked_add(len).filter(|&end| end <= self.end);
            self.position = end.ok_or_else(|| ReadError::Truncated {
                what: "a protobuf field".into(),
                offset,
                needed: len,
                available: self.end.saturating_sub(offset),
            })?;
        }
        Ok(SourceField { number, payload })
    }
}

impl Iterator for SourceFields<'_> {
    type Item = Result<SourceField, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position >= self.end {
            return None;
        }
        let field = self.field();
        self.failed = field.is_err();
        Some(field)
    }
}

fn field_number(tag: u64, offset: u64) -> Result<u32, ReadError> {
    // Numbers are 29 bits; 0 is not one.
    u32::try_from(tag >> 3).ok().filter(|&number| number != 0 && number < 1 << 29).ok_or_else(|| {
        ReadError::malformed("a protobuf field", offset, format!("field number {} is not legal", tag >> 3))
    })
}

fn bad_wire_type(wire_type: u64, offset: u64) -> ReadError {
    ReadError::malformed("a protobuf field", offset, format!("wire type {wire_type} is not in use"))
}

/// The base-128 number at `position`, which is moved behind it; `base` is only for messages.
pub fn varint(bytes: &[u8], position: &mut usize, base: u64) -> Result<u64, ReadError> {
    let start = *position;
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let Some(&byte) = bytes.get(*position) else {
            return Err(ReadError::Truncated {
                what: "a protobuf number".into(),
                offset: base + start as u64,
                needed: (*position - start) as u64 + 1,
                available: (*position - start) as u64,
            });
        };
        *position += 1;
        // The tenth byte has one bit of use; more would not fit.
        if shift < 64 {
            value |= u64::from(byte & 0x7f) << shift;
        }
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(ReadError::malformed("a protobuf number", base + start as u64, "it is longer than ten bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_with_their_offsets() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 0, 0, 0];
        let fields: Vec<_> = Message::new(&bytes, 100).collect::<Result<_, _>>().expect("legal");
        assert_eq!((fields[0].number, fields[0].number_value()), (1, 150));
        assert_eq!((fields[1].bytes(), fields[1].offset), (&b"hi"[..], 105));
        assert_eq!(fields[2].payload, Payload::Fixed32(1));
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(Message::new(&huge, 0).next(), Some(Err(ReadError::Truncated { .. }))));
        let source = ByteSource::from_vec(huge.to_vec());
        let mut fields = SourceFields::new(&source, 0, 10).expect("in range");
        assert!(matches!(fields.next(), Some(Err(ReadError::Truncated { .. }))));
        assert!(fields.next().is_none());
    }

    #[test]
    fn field_zero_and_unknown_wire_types_are_refused() {
        for bytes in [[0x02, 0x00], [0x0f, 0x00]] {
            assert!(matches!(Message::new(&bytes, 0).next(), Some(Err(ReadError::Malformed { .. }))));
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let mut bytes = vec![0x0a, 0];
        for _ in 0..40 {
            let mut outer = vec![0x0a, bytes.len() as u8];
            outer.extend_from_slice(&bytes);
            bytes = outer;
        }
        let mut field = Message::new(&bytes, 0).next().expect("one").expect("legal");
        field.depth = limits::NESTING - 3;
        let mut steps = 0;
        while let Ok(mut message) = field.message() {
            field = message.next().expect("one").expect("legal");
            steps += 1;
        }
        assert_eq!(steps, 3);
    }

    #[test]
    fn packed_and_single_numbers_read_alike() {
        let packed = Message::new(&[0x0a, 3, 1, 0xac, 2], 0).next().expect("one").expect("legal");
        assert_eq!(packed.varints().expect("legal"), [1, 300]);
        let single = Message::new(&[0x08, 7], 0).next().expect("one").expect("legal");
        assert_eq!(single.varints().expect("legal"), [7]);
    }

    #[test]
    fn a_file_is_walked_without_reading_its_large_fields() {
        let mut bytes = vec![0x0a, 0x80, 0x80, 0x04];
        bytes.extend(vec![7; 1 << 16]);
        bytes.extend([0x10, 5]);
        let source = ByteSource::from_vec(bytes);
        let fields: Vec<_> =
            SourceFields::new(&source, 0, source.len()).expect("in range").map(Result::unwrap).collect();
        assert_eq!(fields[0].payload, SourcePayload::Range { offset: 4, len: 1 << 16 });
        assert_eq!(fields[1], SourceField { number: 2, payload: SourcePayload::Number(5) });
    }
}
