//! Files that are compressed as a whole: what is inside, where this can unpack it.
//!
//! Memory and what is unpacked are bounded; a stream that breaks off is looked at as far as it goes, for a program that
//! reads it as it comes does the same.

use std::io::{self, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use lzma_rust2::{LzmaReader, XzReader};

use super::{Examiner, HEAD_BYTES, Part, UNPACKED, inside};
use crate::formats::containers::npy;
use crate::model::{Oddity, ReadError};
use crate::raw::ByteSource;
use crate::raw::source::SourceReader;

/// Marks of compressions that are named and not unpacked: mark, name, whether it is long enough to be no coincidence
/// in the values of a tensor.
const NAMED: [(&[u8], &str, bool); 3] = [
    (b"\x04\x22\x4d\x18", "LZ4", false),
    (b"\x28\xb5\x2f\xfd", "Zstandard", false),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", true),
];

/// What a stream of bzip2 begins with: `BZh`, the size of its blocks as a digit, and the first block's mark.
const BZIP2: (&[u8], &[u8]) = (b"BZh", b"1AY&SY");

const XZ: &[u8] = b"\xfd7zXZ\0";

/// Compressed bytes of one chunk of LZMA2 at most.
const XZ_CHUNK: u64 = 1 << 16;

/// What a stream of LZMA by itself begins with, as its writers set it up; then sizes of the dictionary and of the whole.
const LZMA: &[u8] = b"\x5d\0\0";

/// KiB that unpacking LZMA may take. The strongest preset has a dictionary of 64 MiB.
const LZMA_KIB: u32 = 96 << 10;

/// Bytes unpacked at a time: a decoder that fails gives nothing of what it unpacked in that call.
const STEP: usize = 256;

/// A stream that ends where it breaks off, and says why afterwards.
struct AsFar<R> {
    stream: R,
    /// What was wrong.
    error: Option<io::Error>,
}

impl<R: Read> AsFar<R> {
    fn new(stream: R) -> Self {
        Self { stream, error: None }
    }
}

impl<R: Read> Read for AsFar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.error.is_some() {
            return Ok(0);
        }
        let few = buffer.len().min(STEP);
        match self.stream.read(buffer.get_mut(..few).unwrap_or_default()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.error = Some(error);
                Ok(0)
            }
            read => read,
        }
    }
}

impl Examiner<'_> {
    /// Looks into a compressed source. Returns what it is; `None` where it is not compressed.
    pub(super) fn compressed(
        &mut self,
        source: &ByteSource,
        head: &[u8],
        place: &str,
        part: Part,
    ) -> Result<Option<&'static str>, ReadError> {
        let Some((stream, kind)) = unpacker(source, head, part) else {
            // The data of a tensor may begin like anything.
            let known = NAMED
                .iter()
                .find(|(mark, _, is_long)| head.starts_with(mark) && (*is_long || part != Part::Other));
            let Some((_, name, _)) = known else { return Ok(None) };
            let text = format!("it is compressed with {name}, which was not unpacked");
            self.evidence.observe(Oddity::Compressed, place, Some(0), text);
            return Ok(Some("a compressed file"));
        };
        let left = UNPACKED.saturating_sub(self.unpacked);
        let mut stream = AsFar::new(stream.take(left.saturating_add(1)));
        let most = left.saturating_add(1);
        let unpacked = ByteSource::unpacked("the compressed file", &mut stream, most, self.progress)?;
        if let Some(error) = stream.error {
            let text = format!("it does not unpack to its end: {error}");
            self.evidence.observe(Oddity::BrokenArchive, place, None, text);
        } else if unpacked.len() > left {
            let text = format!("unpacked it has more than {left} bytes; what is beyond was not looked at");
            self.evidence.observe(Oddity::Incomplete, place, None, text);
        }
        self.unpacked = self.unpacked.saturating_add(unpacked.len());
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

/// What unpacks a member of a zip archive; `None` for a method that this does not unpack, or one that would take more
/// memory than it should. Sources: APPNOTE.TXT 6.3.10, sections 4.4.5 (methods) and 5.8.8 (the head before LZMA).
pub(super) fn member_unpacker(stored: &ByteSource, method: u16) -> Option<Box<dyn Read>> {
    let mut reader = SourceReader::new(stored.clone());
    match method {
        8 => Some(Box::new(DeflateDecoder::new(reader))),
        12 => Some(Box::new(MultiBzDecoder::new(reader))),
        14 => {
            let mut head = [0; 9];
            reader.read_exact(&mut head).ok()?;
            let [_, _, 5, 0, properties, dictionary @ ..] = head else { return None };
            let dictionary = u32::from_le_bytes(dictionary);
            let is_small = dictionary >> 10 <= LZMA_KIB;
            let reader =
                is_small.then(|| LzmaReader::new_with_props(reader, u64::MAX, properties, dictionary, None));
            Some(Box::new(reader?.ok()?))
        }
        _ => None,
    }
}

/// What unpacks a source, and what that is; `None` where it is not compressed, or not in a way that this unpacks.
fn unpacker(source: &ByteSource, head: &[u8], part: Part) -> Option<(Box<dyn Read>, &'static str)> {
    let reader = || SourceReader::new(source.clone());
    let begins_bzip2 = |rest: &[u8]| rest.get(1..).is_some_and(|rest| rest.starts_with(BZIP2.1));
    if head.starts_with(b"\x1f\x8b\x08") {
        Some((Box::new(MultiGzDecoder::new(reader())), "a gzip file"))
    } else if part != Part::Stray && is_zlib(source, head) {
        Some((Box::new(ZlibDecoder::new(reader())), "a zlib stream"))
    } else if head.strip_prefix(BZIP2.0).is_some_and(begins_bzip2) {
        Some((Box::new(MultiBzDecoder::new(reader())), "a bzip2 file"))
    } else if head.starts_with(XZ) {
        // It is read chunk by chunk, and a file that breaks off does so within one: zeros fill that up. Behind a whole
        // file they are legal padding.
        let padded = reader().chain(io::repeat(0).take(XZ_CHUNK));
        Some((Box::new(XzReader::new_mem_limit(padded, true, LZMA_KIB)), "an xz file"))
    } else if part != Part::Other && head.starts_with(LZMA) {
        let mut begun = Vec::new();
        let lzma = || LzmaReader::new_mem_limit(reader(), LZMA_KIB, None).ok();
        // Its mark is two zeros: the stream must also begin to unpack.
        lzma()?.take(HEAD_BYTES).read_to_end(&mut begun).ok();
        let stream = lzma().filter(|_| !begun.is_empty())?;
        Some((Box::new(stream), "an LZMA stream"))
    } else {
        None
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
