//! Numpy's `.npy` container: its header, and what numpy's type codes mean.
//!
//! ```text
//! \x93NUMPY | major | minor | header length (u16 in version 1, u32 after) | header | elements
//! header: a Python literal {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}, padded with spaces
//! ```
//!
//! Knows no files and reads no elements. Source:
//! <https://github.com/numpy/numpy/blob/v2.3.0/numpy/lib/_format_impl.py>.

mod literal;

use crate::model::{Dtype, ReadError, Shape, Value};
use crate::raw::{ByteCursor, limits};

/// The bytes that every `.npy` file begins with.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header; numpy itself reads at most 10,000 unless told to trust the file.
const HEADER_BYTES: u64 = 1 << 20;

/// Fields of a structured dtype, nested ones included.
const FIELDS: usize = 10_000;

/// What an element of numpy's is in this program's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its type.
    pub dtype: Dtype,
    /// Bytes of one element as stored.
    pub bytes: u32,
    /// Size of the units whose bytes must be reversed to be little-endian; 1: none.
    pub swap_unit: u32,
    /// Numpy's letter for it, without byte order and size: `f`, `U`, `O`, …
    pub kind: char,
}

impl Element {
    /// Whether the elements are Python objects, which stand in the file as a pickle.
    pub fn is_object(&self) -> bool {
        matches!(self.kind, 'O' | 'T')
    }

    /// What a type code such as `<f4`, `|b1`, `>c16`, `<U8`, `|O` or `<M8[ns]` stands for.
    ///
    /// Source: <https://numpy.org/doc/stable/reference/arrays.interface.html#object.__array_interface__>.
    pub fn from_code(code: &str) -> Option<Self> {
        let big_endian = code.starts_with('>');
        let code = code.trim_start_matches(['<', '>', '|', '=']);
        let kind = code.chars().next()?;
        let rest = code.get(kind.len_utf8()..)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let size: u32 = if digits == 0 { 0 } else { rest.get(..digits)?.parse().ok()? };
        let bits = size.checked_mul(8)?;
        let other = |name: String| Dtype::Other(name.into(), bits);
        let dtype = match (kind, size) {
            ('f', 8) => Dtype::Float64,
            ('f', 4) => Dtype::Float32,
            ('f', 2) => Dtype::Float16,
            // 80-bit extended precision on x86, something else elsewhere: the file does not say which.
            ('f', _) => other(format!("longdouble{bits}")),
            ('c', 16) => Dtype::Complex128,
            ('c', 8) => Dtype::Complex64,
            ('c', _) => other(format!("clongdouble{bits}")),
            ('i', 8) => Dtype::Int64,
            ('i', 4) => Dtype::Int32,
            ('i', 2) => Dtype::Int16,
            ('i', 1) => Dtype::Int8,
            ('u', 8) => Dtype::Uint64,
            ('u', 4) => Dtype::Uint32,
            ('u', 2) => Dtype::Uint16,
            ('u', 1) => Dtype::Uint8,
            ('b', 1) | ('?', 0) => Dtype::Bool,
            ('M', 8) => other(format!("datetime64{}", rest.get(digits..)?)),
            ('m', 8) => other(format!("timedelta64{}", rest.get(digits..)?)),
            ('S' | 'a' | 'U' | 'O' | 'T', _) => Dtype::String,
            ('V', _) => other(format!("void{bits}")),
            _ => return None,
        };
        let bytes = match kind {
            'U' => size.checked_mul(4)?,
            '?' => 1,
            _ => size,
        };
        let swap_unit = match kind {
            _ if !big_endian => 1,
            'c' => bytes / 2,
            'U' => 4,
            'S' | 'a' | 'V' | 'O' => 1,
            _ => bytes,
        };
        Some(Self { dtype, bytes, swap_unit: swap_unit.max(1), kind })
    }
}

/// One field of a structured array; a plain array has one, of no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The names that lead to it.
    pub path: Vec<String>,
    /// Its type.
    pub element: Element,
    /// Dimensions that it adds to those of the array.
    pub shape: Vec<u64>,
    /// Bytes from the start of a record to it.
    pub offset: u64,
    /// Bytes of it in each record.
    pub bytes: u64,
}

/// A header, read and checked in itself; whether the elements are there is for the reader to check.
#[derive(Debug, Clone)]
pub struct Header {
    /// Format version, such as 1.0.
    pub version: (u8, u8),
    /// Dimensions of the array of records.
    pub shape: Shape,
    /// Whether the first index varies fastest.
    pub fortran: bool,
    /// Bytes of one record: of one element, for a plain array.
    pub record_bytes: u64,
    /// What a record holds.
    pub fields: Vec<Field>,
    /// Where the elements begin, from the start of the file.
    pub data_start: u64,
}

impl Header {
    /// Reads a header. `first` gives the first so many bytes of the file, or all where there are fewer.
    pub fn read(first: impl Fn(u64) -> Result<Vec<u8>, ReadError>) -> Result<Self, ReadError> {
        let bytes = first(4096)?;
        let mut cursor = ByteCursor::new(&bytes, 0);
        if cursor.take("the numpy signature", MAGIC.len() as u64)? != MAGIC {
            return Err(ReadError::malformed("the numpy signature", 0, "it is not \\x93NUMPY"));
        }
        let version = (cursor.u8("the version")?, cursor.u8("the version")?);
        let length = match version.0 {
            1 => u64::from(cursor.u16_le("the header length")?),
            2 | 3 => u64::from(cursor.u32_le("the header length")?),
            major => return Err(ReadError::unsupported(format!("version {major} of the numpy format"))),
        };
        if length > HEADER_BYTES {
            let what = "the header length".into();
            return Err(ReadError::OverLimit { what, value: length, limit: HEADER_BYTES });
        }
        let start = cursor.offset();
        let bytes = if length > cursor.remaining() as u64 { first(start + length)? } else { bytes };
        let mut cursor = ByteCursor::new(&bytes, 0);
        cursor.take("the header", start)?;
        let text = cursor.take("the header", length)?;
        // Version 3 is UTF-8; before it was Latin-1, in which only the names of fields can differ from ASCII.
        let text = match std::str::from_utf8(text) {
            Ok(text) => text.to_owned(),
            Err(_) if version.0 < 3 => text.iter().copied().map(char::from).collect(),
            Err(_) => return Err(ReadError::malformed("the header", start, "it is not UTF-8 text")),
        };
        Self::of_text(&text, version, start + length)
            .map_err(|reason| ReadError::malformed("the numpy header", start, reason))
    }

    fn of_text(text: &str, version: (u8, u8), data_start: u64) -> Result<Self, String> {
        let header = literal::parse(text).ok_or("it is not a Python dictionary of plain values")?;
        let dims = match header.get("shape") {
            Some(Value::List(dims)) => sizes(dims),
            _ => None,
        };
        let dims = dims.ok_or("its shape is not a tuple of sizes")?;
        let Some(Value::Bool(fortran)) = header.get("fortran_order") else {
            return Err("its fortran_order is neither True nor False".to_owned());
        };
        let descr = header.get("descr").ok_or("it has no descr")?;
        let mut fields = Vec::new();
        let record_bytes = add_fields(descr, &mut Vec::new(), 0, &mut fields)?;
        Ok(Self { version, shape: Shape::from(dims), fortran: *fortran, record_bytes, fields, data_start })
    }

    /// Bytes of all elements; `None` when that overflows.
    pub fn data_bytes(&self) -> Option<u64> {
        self.shape.checked_elements()?.checked_mul(self.record_bytes)
    }

    /// Whether the elements are Python objects, which stand in the file as a pickle.
    pub fn has_objects(&self) -> bool {
        self.fields.iter().any(|field| field.element.is_object())
    }

    /// Elements from one index to the next per dimension, where that is not row-major.
    pub fn strides(&self) -> Option<Box<[u64]>> {
        self.fortran.then(|| {
            let steps = self.shape.dims().iter().scan(1u64, |step, &dim| {
                let stride = *step;
                *step = step.saturating_mul(dim.max(1));
                Some(stride)
            });
            steps.collect()
        })
    }
}

fn sizes(dims: &[Value]) -> Option<Vec<u64>> {
    if dims.len() > limits::RANK {
        return None;
    }
    dims.iter().map(|dim| if let Value::Int(size) = dim { u64::try_from(*size).ok() } else { None }).collect()
}

/// Adds the fields of a `descr` that stands `offset` bytes into the record; returns its bytes.
/// Nesting is bounded by that of the literal.
fn add_fields(
    descr: &Value,
    path: &mut Vec<String>,
    offset: u64,
    fields: &mut Vec<Field>,
) -> Result<u64, String> {
    let overflow = || "the size of a record overflows".to_owned();
    let members = match descr {
        Value::Text(code) => {
            let element = Element::from_code(code).ok_or_else(|| format!("type {code:?} is not known"))?;
            let bytes = u64::from(element.bytes);
            fields.push(Field { path: path.clone(), element, shape: Vec::new(), offset, bytes });
            return Ok(bytes);
        }
        Value::List(members) => members,
        _ => return Err("a descr is neither a type code nor a list of fields".to_owned()),
    };
    let mut end = offset;
    for member in members {
        let Value::List(parts) = member else { return Err("a field is not a tuple".to_owned()) };
        let (name, descr, dims) = match &parts[..] {
            [name, descr] => (name, descr, Vec::new()),
            [name, descr, Value::List(dims)] => {
                (name, descr, sizes(dims).ok_or("the shape of a field is not a tuple of sizes")?)
            }
            _ => return Err("a field is not (name, type) or (name, type, shape)".to_owned()),
        };
        // A name can be (title, name).
        let name = match name {
            Value::Text(name) => name.as_str(),
            Value::List(both) => both.last().and_then(Value::as_text).unwrap_or_default(),
            _ => return Err("the name of a field is not text".to_owned()),
        };
        if fields.len() >= FIELDS {
            return Err(format!("it has more than {FIELDS} fields"));
        }
        path.push(name.to_owned());
        let first = fields.len();
        let each = add_fields(descr, path, end, fields)?;
        path.pop();
        let copies = Shape::from(dims.clone()).checked_elements().ok_or_else(overflow)?;
        let bytes = each.checked_mul(copies).ok_or_else(overflow)?;
        if name.is_empty() {
            fields.truncate(first); // padding
        } else if !dims.is_empty() {
            // A repeated record has no single stride: its raw bytes stand for it.
            let nested = matches!(descr, Value::List(_));
            fields.truncate(if nested { first } else { fields.len() });
            match fields.get_mut(first) {
                Some(field) => (field.shape, field.bytes) = (dims, bytes),
                None => {
                    let kind = format!("record{}", each.saturating_mul(8));
                    let bits = u32::try_from(each.saturating_mul(8)).map_err(|_| overflow())?;
                    let element = Element {
                        dtype: Dtype::Other(kind.into(), bits),
                        bytes: bits / 8,
                        swap_unit: 1,
                        kind: 'V',
                    };
                    let path = path.iter().cloned().chain([name.to_owned()]).collect();
                    fields.push(Field { path, element, shape: dims, offset: end, bytes });
                }
            }
        }
        end = end.checked_add(bytes).ok_or_else(overflow)?;
    }
    Ok(end - offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Header, ReadError> {
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        Header::read(|len| Ok(bytes.iter().copied().take(len as usize).collect()))
    }

    #[test]
    fn codes_name_types_sizes_and_byte_order() {
        let of = |code| Element::from_code(code).map(|e| (e.dtype.name().to_owned(), e.bytes, e.swap_unit));
        for (code, name, bytes, swap) in [
            ("<f4", "float32", 4, 1),
            (">c16", "complex128", 16, 8),
            ("|b1", "bool", 1, 1),
            (">U3", "string", 12, 4),
            ("<f16", "longdouble128", 16, 1),
            ("<M8[25s]", "datetime64[25s]", 8, 1),
            ("|V2", "void16", 2, 1),
        ] {
            assert_eq!(of(code), Some((name.to_owned(), bytes, swap)), "{code}");
        }
        assert_eq!((of("<q9"), of(""), of("<f99999999999")), (None, None, None));
    }

    #[test]
    fn fields_have_their_place_in_the_record() {
        let text = "{'descr': [('a', '|i1'), ('', '|V3'), ('b', '>f4', (2, 3)), ('c', [('d', '<i2')])], \
                    'fortran_order': False, 'shape': (5,)}";
        let header = header(text).expect("a header");
        let places: Vec<_> =
            header.fields.iter().map(|f| (f.path.join("."), f.offset, f.bytes, f.shape.len())).collect();
        assert_eq!(places, [("a".into(), 0, 1, 0), ("b".into(), 4, 24, 2), ("c.d".into(), 28, 2, 0)]);
        assert_eq!((header.record_bytes, header.data_bytes()), (30, Some(150)));
    }

    #[test]
    fn a_header_that_lies_is_refused_with_a_reason() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
            "{'descr': '<x4', 'fortran_order': False, 'shape': ()}",
            "{'descr': [('a', '<f4', (9000000000, 9000000000))], 'fortran_order': False, 'shape': ()}",
            "",
        ] {
            assert!(matches!(header(text), Err(ReadError::Malformed { .. })), "{text}");
        }
    }
}
