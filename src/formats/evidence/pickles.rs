//! Pickles: one after the other in a file, behind it, and in bytes that belong to nothing. What one of them imports and
//! calls is for `calls`, what is in its byte strings for `embedded`.

use super::{Examiner, Part, inside, joblib_follows};
use crate::formats::containers::pickle;
use crate::formats::pytorch;
use crate::model::{Oddity, ReadError};
use crate::raw::ByteSource;

/// Pickles one after the other in one file.
const PICKLES: usize = 10_000;

/// Bytes behind a pickle that are searched for another, places in them where one may begin, opcodes read at each.
const SEARCHED: u64 = 1 << 20;
const STRAY_STARTS: usize = 512;
const STRAY_OPCODES: u64 = 1 << 14;

/// Opcodes by which a stream shows that it is one: honest ones have named something or ended by then.
const PROBED: u64 = 1 << 20;

/// Bytes of a table of torch's oldest files.
const TABLE_BYTES: u64 = 64 << 20;

/// Opcodes that are read of a broken stream.
const OPCODES: u64 = 1 << 26;

/// Pickles of a PyTorch file before 1.6: magic number, protocol, system, object, keys of the storages. Raw values follow.
const LEGACY_PICKLES: usize = 5;

/// Whether bytes begin with the mark of a pickle: an opcode that says the protocol.
pub fn begins_like_one(head: &[u8]) -> bool {
    matches!(head, [0x80, 0..=5, _, ..])
}

/// Whether bytes begin with an opcode that can stand first: protocols 0 and 1 have no mark.
pub fn may_begin_one(head: &[u8]) -> bool {
    let first = matches!(
        head.first(),
        Some(
            b'('
            | b'c'
            | b']'
            | b'}'
            | b')'
            | b'I'
            | b'L'
            | b'F'
            | b'S'
            | b'V'
            | b'U'
            | b'T'
            | b'X'
            | b'K'
            | b'M'
            | b'J'
            | b'G'
            | b'N'
            | b'C'
            | b'B'
            | b'P'
            | b'i'
            | 0x80
            | 0x82..=0x84
            | 0x88..=0x8f
            | 0x95
            | 0x96,
        )
    );
    first && head.len() > 1
}

/// Whether text could name a module or something in it.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    !text.is_empty() && text.len() <= 400 && text.split('.').all(|piece| !piece.is_empty() && part(piece))
}

impl Examiner<'_> {
    /// Goes through the pickles that stand one after the other. Returns whether there was any.
    pub(super) fn pickles(
        &mut self,
        source: &ByteSource,
        place: &str,
        part: Part,
    ) -> Result<bool, ReadError> {
        let head = source.read_up_to("a pickle", 0, 64)?;
        let is_legacy = pytorch::begins_like_legacy(&head);
        // Values of tensors can begin like a pickle, and text too: such a stream must be one as far as it goes.
        let is_expected = is_legacy || part == Part::Pickle && begins_like_one(&head);
        if !is_expected && !self.is_stream(source, 0, PROBED)? {
            return Ok(false);
        }
        let mut position = 0;
        for index in 0..PICKLES {
            self.progress.advance(0)?;
            let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
            self.evidence.pickles += 1;
            self.graph(&partial.graph, source, place)?;
            match partial.root {
                Ok(_) => position = partial.end,
                Err(error @ (ReadError::Io(_) | ReadError::Cancelled | ReadError::FileChanged)) => {
                    return Err(error);
                }
                Err(error) => {
                    self.evidence.observe(Oddity::BrokenPickle, place, Some(partial.end), error.to_string());
                    let linear = pickle::scan(source, position, OPCODES, self.progress)?;
                    let names = linear.names.into_iter().filter(|named| named.offset >= partial.end);
                    for named in names.filter(|named| is_name(&named.module) && is_name(&named.name)) {
                        self.import(&named.module, &named.name, 1, Some(named.offset), place);
                    }
                    if !linear.stopped {
                        break;
                    }
                    position = linear.end;
                }
            }
            if position >= source.len() {
                break;
            }
            if is_legacy {
                if index + 1 == LEGACY_PICKLES {
                    self.evidence.data_bytes += source.len() - position;
                    break;
                }
                continue;
            }
            if !self.is_stream(source, position, PROBED)? {
                self.after(source, position, place)?;
                break;
            }
            let text = "another pickle follows the first; a program that reads on would load it too";
            self.evidence.observe(Oddity::SecondPickle, place, Some(position), text);
        }
        Ok(true)
    }

    /// Whether opcodes that stand at a position lead to a `STOP`, or at least import something.
    fn is_stream(&self, source: &ByteSource, position: u64, most: u64) -> Result<bool, ReadError> {
        let head = source.read_up_to("a pickle", position, 2)?;
        if !may_begin_one(&head) {
            return Ok(false);
        }
        let linear = pickle::scan(source, position, most, self.progress)?;
        // One opcode and STOP are two bytes, which stand in anything.
        let stopped = linear.stopped && linear.opcodes > 2;
        if stopped || linear.goes_on {
            return Ok(true);
        }
        let imports = linear.names.iter().any(|named| is_name(&named.module) && is_name(&named.name));
        if !imports || head.first() == Some(&0x80) {
            return Ok(imports);
        }
        // Two lines of words read like an import; only a stream that also gets as far as a call is one.
        let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
        Ok(!partial.graph.calls().is_empty())
    }

    /// What stands behind the last pickle, if it is not an archive.
    fn after(&mut self, source: &ByteSource, position: u64, place: &str) -> Result<(), ReadError> {
        let rest = source.len() - position;
        let text = format!("{rest} bytes follow the pickle");
        self.evidence.observe(Oddity::DataAfter, place, Some(position), text);
        self.stray(source, position, rest, place)
    }

    /// Looks for pickles in bytes that nothing refers to.
    pub(super) fn stray(
        &mut self,
        source: &ByteSource,
        start: u64,
        len: u64,
        place: &str,
    ) -> Result<(), ReadError> {
        let bytes = source.read_up_to("bytes that belong to nothing", start, len.min(SEARCHED))?;
        let starts = bytes.windows(3).enumerate();
        let starts = starts.filter(|(_, window)| begins_like_one(window) || window.starts_with(b"PK\x03"));
        for (at, window) in starts.take(STRAY_STARTS) {
            let at = start + at as u64;
            let rest = source.slice("bytes that belong to nothing", at, start + len - at)?;
            let is_zip = window.starts_with(b"PK\x03");
            if is_zip || self.is_stream(&rest, 0, STRAY_OPCODES)? {
                let what = if is_zip { "an archive" } else { "a pickle" };
                let text = format!("{what} stands in bytes that nothing refers to");
                self.evidence.observe(Oddity::HiddenPickle, place, Some(at), text);
                let name = inside(place, &format!("bytes at {at}"));
                self.source(&rest, &name, Part::Stray)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The tables of torch's oldest files: pickles with values between them, whose lengths only the rows tell.
    pub(super) fn tables(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let mut position = 0;
        while position < source.len() {
            self.progress.advance(0)?;
            let rest = source.read_up_to("a table", position, SEARCHED)?;
            let Some(at) = rest.windows(3).position(begins_like_one) else {
                position += (rest.len() as u64).saturating_sub(2).max(1);
                continue;
            };
            position += at as u64;
            if position > TABLE_BYTES {
                let text = format!("only the first {TABLE_BYTES} bytes of this table were looked through");
                self.evidence.observe(Oddity::Incomplete, place, Some(position), text);
                break;
            }
            if !self.is_stream(source, position, STRAY_OPCODES)? {
                position += 1;
                continue;
            }
            let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
            self.evidence.pickles += 1;
            self.graph(&partial.graph, source, place)?;
            position = if partial.root.is_ok() { partial.end } else { position + 1 };
        }
        Ok(())
    }
}
