//! Files that are compressed as a whole: what is inside, where this can unpack it.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::{Examiner, HEAD_BYTES, Part, UNPACKED, inside};
use crate::formats::containers::npy;
use crate::model::{Oddity, ReadError};
use crate::raw::ByteSource;
use crate::raw::source::SourceReader;

/// Marks of compressions that are named and not unpacked. joblib writes all of them.
const NAMED: [(&[u8], &str); 5] = [
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\x00\x00", "LZMA"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
];

impl Examiner<'_> {
    /// Looks into a compressed source. Returns what it is; `None` where it is not compressed.
    pub(super) fn compressed(
        &mut self,
        source: &ByteSource,
        head: &[u8],
        place: &str,
        part: Part,
    ) -> Result<Option<&'static str>, ReadError> {
        let reader = || SourceReader::new(source.clone());
        let (mut stream, kind): (Box<dyn Read>, _) = if head.starts_with(b"\x1f\x8b\x08") {
            (Box::new(MultiGzDecoder::new(reader())), "a gzip file")
        } else if part != Part::Stray && is_zlib(source, head) {
            (Box::new(ZlibDecoder::new(reader())), "a zlib stream")
        } else if part != Part::Other
            && let Some((_, name)) = NAMED.iter().find(|(mark, _)| head.starts_with(mark))
        {
            let text = format!("it is compressed with {name}, which was not unpacked");
            self.evidence.observe(Oddity::Compressed, place, Some(0), text);
            return Ok(Some("a compressed file"));
        } else {
            return Ok(None);
        };
        let left = UNPACKED.saturating_sub(self.unpacked);
        let unpacked = match ByteSource::unpacked("the compressed file", &mut *stream, left, self.progress) {
            Err(ReadError::OverLimit { .. }) => {
                let text = format!("unpacked it has more than {left} bytes; it was not looked into");
                self.evidence.observe(Oddity::Incomplete, place, None, text);
                return Ok(Some(kind));
            }
            unpacked => unpacked?,
        };
        self.unpacked += unpacked.len();
        self.source(&unpacked, &inside(place, "unpacked"), part)?;
        Ok(Some(kind))
    }

    /// An array of numpy's: values, or a pickle of Python objects.
    pub(super) fn npy(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let header = npy::Header::read(|len| source.read_up_to("a numpy header", 0, len))?;
        let rest = source.len().saturating_sub(header.data_start);
        if !header.fields.iter().any(|field| field.element.is_object()) {
            self.evidence.data_bytes += rest;
            let values = header.shape.elements().saturating_mul(header.record_bytes);
            if let Some(more) = rest.checked_sub(values).filter(|&more| more > 0) {
                let at = header.data_start + values;
                let text = format!("{more} bytes follow the values");
                self.evidence.observe(Oddity::DataAfter, place, Some(at), text);
                self.stray(source, at, more, place)?;
            }
            return Ok(());
        }
        let pickle = source.slice("the objects of an array", header.data_start, rest)?;
        self.source(&pickle, &inside(place, "objects"), Part::Pickle).map(drop)
    }
}

/// Whether it is a zlib stream: its two bytes say little, so the stream must also begin to unpack.
fn is_zlib(source: &ByteSource, head: &[u8]) -> bool {
    let &[first, second, ..] = head else { return false };
    let is_header = first == 0x78 && u16::from_be_bytes([first, second]).is_multiple_of(31);
    if !is_header {
        return false;
    }
    let mut begun = Vec::new();
    let read = ZlibDecoder::new(SourceReader::new(source.clone())).take(HEAD_BYTES).read_to_end(&mut begun);
    read.is_ok() && !begun.is_empty()
}
