//! Arrays of numpy: one `.npy` per tensor, in a folder or in an `.npz` archive.
//!
//! ```text
//! \x93NUMPY 1 0 | u16 length | {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } padded to 64 bytes | values
//! ```
//! Source: `numpy/lib/_format_impl.py`; `savez` in `numpy/lib/_npyio_impl.py` stores members under `<name>.npy`.

use std::fmt::Write as _;
use std::io::Write;

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::ExportError;
use super::plan::{PlannedFile, PlannedTensor};
use super::unbroken::Unbroken;
use super::values::Values;
use super::write::Out;
use crate::model::Dtype;

/// Writes one tensor as a `.npy` file.
pub(super) fn write_array(
    index: usize,
    values: &mut Values<'_>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    out.write_all(&header(values.tensor(index)?)?)?;
    values.copy(index, out)
}

/// Writes all tensors as members of an archive.
pub(super) fn write_archive(
    file: &PlannedFile,
    values: &mut Values<'_>,
    out: &mut dyn Out,
) -> Result<(), ExportError> {
    let mut archive = ZipWriter::new(Unbroken::new(out));
    for &index in &file.tensors {
        let tensor = values.tensor(index)?;
        archive.start_file(format!("{}.npy", tensor.name), stored(tensor.bytes + 4096)).map_err(zip_error)?;
        write_array(index, values, &mut archive)?;
    }
    archive.finish().map_err(zip_error)?;
    Ok(())
}

/// Options of a member that is not compressed. Its time is the earliest that zip knows, so that equal content makes equal files.
pub(super) fn stored(bytes: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u64::from(u32::MAX))
}

pub(super) fn zip_error(error: zip::result::ZipError) -> ExportError {
    match error {
        zip::result::ZipError::Io(error) => ExportError::Write(error),
        other => ExportError::refused(other.to_string()),
    }
}

/// The name of a tensor's file: its own, with what would lead elsewhere or is not allowed everywhere as `%` and two digits.
pub(super) fn file_name(tensor: &str) -> String {
    /// Most file systems stop at 255 bytes.
    const LENGTH: usize = 200;
    let mut name = String::with_capacity(tensor.len() + 4);
    for c in tensor.chars() {
        let is_forbidden =
            c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%');
        if is_forbidden || c == '.' && name.is_empty() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(name, "%{byte:02x}"); // writing to a String cannot fail
            }
        } else {
            name.push(c);
        }
    }
    if name.len() > LENGTH {
        let digest = Sha256::digest(tensor.as_bytes());
        let mut cut = LENGTH;
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        name.truncate(cut);
        for byte in digest.iter().take(8) {
            let _ = write!(name, "{}{byte:02x}", if name.len() == cut { "~" } else { "" });
        }
    }
    name.push_str(".npy");
    name
}

fn header(tensor: &PlannedTensor) -> Result<Vec<u8>, ExportError> {
    let descr = match tensor.dtype {
        Dtype::Float64 => "<f8",
        Dtype::Float32 => "<f4",
        Dtype::Float16 => "<f2",
        Dtype::Int64 => "<i8",
        Dtype::Int32 => "<i4",
        Dtype::Int16 => "<i2",
        Dtype::Int8 => "|i1",
        Dtype::Uint64 => "<u8",
        Dtype::Uint32 => "<u4",
        Dtype::Uint16 => "<u2",
        Dtype::Uint8 => "|u1",
        Dtype::Bool => "|b1",
        Dtype::Complex128 => "<c16",
        Dtype::Complex64 => "<c8",
        ref other => return Err(ExportError::refused(format!("numpy has no {other}"))),
    };
    let dims: Vec<String> = tensor.shape.dims().iter().map(u64::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", dims.join(", "));
    // Version 1 has two bytes for the length, version 2 four: for arrays of thousands of dimensions, which there are not.
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let length = u16::try_from(padded).map_err(|_| ExportError::refused("too many dimensions for numpy"))?;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.resize(10 + padded - 1, b' ');
    header.push(b'\n');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_leads_nowhere_else_and_stays_different() {
        assert_eq!(file_name("layers.0.weight"), "layers.0.weight.npy");
        assert_eq!(file_name("../a/b"), "%2e.%2fa%2fb.npy");
        assert_eq!(file_name("a%2fb"), "a%252fb.npy");
        let long = "x".repeat(400);
        assert!(file_name(&long).len() < 255);
        assert_ne!(file_name(&long), file_name(&format!("{long}y")));
    }
}
