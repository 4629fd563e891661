//! Archives: records that contradict each other, and what each member is by its own bytes.

use std::io::Read;

use flate2::Crc;

use super::compressed::member_unpacker;
use super::{Examiner, HEAD_BYTES, Part, inside, pickles, sources};
use crate::formats::containers::hdf5 as hdf5_container;
use crate::formats::containers::zip_records::{Record, Records, escapes};
use crate::formats::containers::{npy, tar};
use crate::model::{Oddity, ReadError};
use crate::raw::{ByteSource, limits};

/// Members whose checksum is always verified: what is read whole anyway.
const CHECKED_BYTES: u64 = 1 << 20;

/// Bytes of a member that is inflated into memory; larger ones go to a temporary file.
const IN_MEMORY: u64 = 32 << 20;

/// Sources of a package that are named.
const NAMED: usize = 5;

impl Examiner<'_> {
    /// Looks at an archive and all its members.
    pub(super) fn zip(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let records = Records::read(source, self.progress)?;
        for (kind, member, offset, text) in &records.oddities {
            let place = if member.is_empty() { place.to_owned() } else { inside(place, member) };
            self.evidence.observe(*kind, &place, *offset, text.as_str());
        }
        let members = Members::of(&records);
        self.sources_in(&members, &records, source, place)?;
        let mut without_checksum = 0u64;
        let mut listed: Vec<&Record> = records.members.iter().collect();
        // Small members first: should the bytes to unpack run out, what can act was looked at.
        listed.sort_by_key(|record| record.size);
        for record in listed {
            let Some(data) = record.data else { continue };
            let name = inside(place, &record.name);
            let Ok(stored) = source.slice("a zip member", data, record.compressed) else {
                let text = format!("its {} bytes do not fit into the archive", record.compressed);
                self.evidence.observe(Oddity::BrokenArchive, &name, Some(record.header), text);
                continue;
            };
            if record.compressed == 0 && record.size == 0 {
                continue;
            }
            if record.method == 0 {
                if record.crc32 == 0 {
                    without_checksum += 1;
                } else if self.checksums || record.compressed <= CHECKED_BYTES {
                    self.check(&stored, record, &name)?;
                }
                if record.size != record.compressed {
                    let text =
                        format!("it is stored, but its sizes are {} and {}", record.compressed, record.size);
                    self.evidence.observe(Oddity::BrokenArchive, &name, Some(record.header), text);
                }
                self.member(&stored, record, &members, &name)?;
            } else if let Some(unpacked) = self.unpacked_member(&stored, record, &name)? {
                self.member(&unpacked, record, &members, &name)?;
            }
        }
        if without_checksum > 0 {
            let text = format!("{without_checksum} members were written without a checksum");
            self.evidence.observe(Oddity::NoChecksums, place, None, text);
        }
        for &(start, end) in &records.gaps {
            self.gap(source, start, end, place)?;
        }
        Ok(())
    }

    /// Bytes between members: those of a member that the directory leaves out, or anything else.
    fn gap(&mut self, source: &ByteSource, start: u64, end: u64, place: &str) -> Result<(), ReadError> {
        let head = source.read_up_to("bytes between members", start, (end - start).min(HEAD_BYTES))?;
        if head.iter().all(|&byte| byte == 0) && end - start <= HEAD_BYTES {
            return Ok(());
        }
        let is_member = head.windows(4).any(|window| window == b"PK\x03\x04");
        if is_member {
            let text = "a member stands here that the directory does not list";
            self.evidence.observe(Oddity::UnlistedMember, place, Some(start), text);
        }
        self.stray(source, start, end - start, place)
    }

    fn check(&mut self, data: &ByteSource, record: &Record, name: &str) -> Result<(), ReadError> {
        let mut crc = Crc::new();
        let mut at = 0;
        while at < data.len() {
            let piece = data.read_up_to("a zip member", at, limits::CHUNK_BYTES as u64)?;
            self.progress.advance(piece.len() as u64)?;
            crc.update(&piece);
            at += piece.len() as u64;
        }
        self.compare(crc.sum(), record, name);
        Ok(())
    }

    fn compare(&mut self, sum: u32, record: &Record, name: &str) {
        self.evidence.checksums += 1;
        if sum != record.crc32 {
            let text = format!("its checksum is {sum:08x}, the archive says {:08x}", record.crc32);
            self.evidence.observe(Oddity::ChecksumMismatch, name, Some(record.header), text);
        }
    }

    /// What a compressed member holds, where a look at its beginning says that it can do something.
    fn unpacked_member(
        &mut self,
        stored: &ByteSource,
        record: &Record,
        name: &str,
    ) -> Result<Option<ByteSource>, ReadError> {
        let Some(stream) = member_unpacker(stored, record.method) else {
            let text = format!("it is compressed by method {}, which was not unpacked", record.method);
            self.evidence.observe(Oddity::Compressed, name, Some(record.header), text);
            // The method may be a lie that some programs do not believe.
            return Ok(Some(stored.clone()));
        };
        let mut head = Vec::new();
        // What comes before an error is still worth a look.
        let begun = stream.take(HEAD_BYTES).read_to_end(&mut head);
        let is_whole = (head.len() as u64) < HEAD_BYTES;
        let matters =
            is_whole || record.size <= CHECKED_BYTES || self.checksums || is_interesting(&head, &record.name);
        if !matters {
            self.evidence.data_bytes += record.size;
            return Ok(None);
        }
        if !self.may_unpack(record.size, name) {
            return Ok(None);
        }
        // One byte more shows a member that lies about its size.
        let most = record.size.saturating_add(1);
        let Some(mut stream) = member_unpacker(stored, record.method).map(|stream| stream.take(most)) else {
            return Ok(None);
        };
        let unpacked = if record.size <= IN_MEMORY {
            let mut bytes = Vec::new();
            let read = stream.read_to_end(&mut bytes);
            if let Some(error) = begun.err().or(read.err()) {
                let text = format!("it does not inflate to its end: {error}");
                self.evidence.observe(Oddity::BrokenArchive, name, Some(record.header), text);
            } else if bytes.len() as u64 != record.size {
                let text = format!("it inflates to another size than {}", record.size);
                self.evidence.observe(Oddity::BrokenArchive, name, Some(record.header), text);
            }
            ByteSource::from_vec(bytes)
        } else {
            match ByteSource::unpacked("a zip member", &mut stream, most, self.progress) {
                Ok(unpacked) => unpacked,
                Err(error @ (ReadError::Io(_) | ReadError::Cancelled)) => return Err(error),
                Err(error) => {
                    self.evidence.observe(
                        Oddity::BrokenArchive,
                        name,
                        Some(record.header),
                        error.to_string(),
                    );
                    return Ok(None);
                }
            }
        };
        if unpacked.len() == record.size {
            self.check(&unpacked, record, name)?;
        }
        Ok(Some(unpacked))
    }

    fn member(
        &mut self,
        data: &ByteSource,
        record: &Record,
        members: &Members,
        name: &str,
    ) -> Result<(), ReadError> {
        let part = if is_pickle_name(&record.name) { Part::Pickle } else { Part::Other };
        let pickles = self.evidence.pickles;
        let kind = self.source(data, name, part)?;
        if kind.is_none() {
            self.evidence.data_bytes += data.len();
        }
        if part == Part::Other && kind == Some("a pickle") && self.evidence.pickles > pickles {
            let text = "a member that should hold something else is a pickle";
            // TorchScript keeps line numbers in `….debug_pkl`.
            if members.is_torch && !record.name.ends_with("pkl") {
                self.evidence.observe(Oddity::HiddenPickle, name, Some(record.header), text);
            }
        }
        Ok(())
    }

    /// Code that the archive carries as source text.
    fn sources_in(
        &mut self,
        members: &Members,
        records: &Records,
        source: &ByteSource,
        place: &str,
    ) -> Result<(), ReadError> {
        let python: Vec<&Record> =
            records.members.iter().filter(|record| is_python_name(&record.name)).collect();
        if python.is_empty() {
            return Ok(());
        }
        let (script, other): (Vec<&Record>, Vec<&Record>) =
            python.into_iter().partition(|record| members.is_script && record.name.contains("/code/"));
        for (kind, sources, what) in [
            (Oddity::TorchScript, script, "TorchScript"),
            (Oddity::PythonSource, if members.is_package { other } else { Vec::new() }, "Python"),
        ] {
            if sources.is_empty() {
                continue;
            }
            let bytes: u64 = sources.iter().map(|record| record.size).sum();
            let named: Vec<&str> = sources.iter().take(NAMED).map(|record| record.name.as_str()).collect();
            let more = if sources.len() > NAMED { ", …" } else { "" };
            let text = format!(
                "{} {what} source file{} of together {bytes} bytes: {}{more}",
                sources.len(),
                if sources.len() == 1 { "" } else { "s" },
                named.join(", ")
            );
            self.evidence.observe(kind, place, None, text);
            if kind != Oddity::TorchScript {
                continue;
            }
            for record in sources {
                let Some(data) = record.data.filter(|_| record.size <= sources::SOURCE_BYTES) else {
                    continue;
                };
                let Ok(stored) = source.slice("a zip member", data, record.compressed) else { continue };
                let text = if let Some(decoder) = member_unpacker(&stored, record.method) {
                    let mut bytes = Vec::new();
                    // A source that breaks off is looked at as far as it goes; the member itself is reported.
                    decoder.take(sources::SOURCE_BYTES).read_to_end(&mut bytes).ok();
                    bytes
                } else {
                    stored.read_up_to("a source", 0, sources::SOURCE_BYTES)?
                };
                self.script_source(&text, &inside(place, &record.name));
            }
        }
        Ok(())
    }

    /// The members of a tar archive. Their names can lead out of the folder as well.
    pub(super) fn tar(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        for entry in tar::entries(source, self.progress)? {
            let name = inside(place, &entry.name);
            if escapes(&entry.name) {
                let text = "unpacking it by its name would write outside of the folder";
                self.evidence.observe(Oddity::EscapingName, &name, Some(entry.offset), text);
            }
            let Ok(data) = source.slice("a tar member", entry.offset, entry.size) else {
                let text = "it is cut off";
                self.evidence.observe(Oddity::BrokenArchive, &name, Some(entry.offset), text);
                continue;
            };
            // The oldest files of torch: pickles under these names, tables of pickles and values.
            let is_pickle = matches!(entry.name.as_str(), "pickle" | "sys_info" | "storages" | "tensors")
                || is_pickle_name(&entry.name);
            let part = if is_pickle { Part::Pickle } else { Part::Other };
            if matches!(entry.name.as_str(), "storages" | "tensors") {
                self.tables(&data, &name)?;
            } else if !data.is_empty() {
                self.source(&data, &name, part)?;
            }
        }
        Ok(())
    }
}

/// Whether bytes that begin so can do more than be values.
fn is_interesting(head: &[u8], name: &str) -> bool {
    pickles::begins_like_one(head)
        || head.starts_with(b"PK\x03\x04")
        || head.starts_with(b"\x89HDF")
        || head.starts_with(npy::MAGIC)
        || hdf5_container::has_signature(&ByteSource::from_vec(head.to_vec()), head)
        || tar::first_name(head).is_some()
        || is_pickle_name(name)
        || head.trim_ascii_start().starts_with(b"{")
}

fn is_python_name(name: &str) -> bool {
    name.to_ascii_lowercase().rsplit_once('.').is_some_and(|(_, ending)| ending == "py")
}

fn is_pickle_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".pkl", ".pickle", ".p", ".joblib"].iter().any(|ending| name.ends_with(ending))
}

/// What the members of an archive are to each other.
struct Members {
    /// Written by torch, of whatever kind.
    is_torch: bool,
    /// `TorchScript`: sources under `code/`.
    is_script: bool,
    /// `torch.package`: sources that importing it runs.
    is_package: bool,
}

impl Members {
    fn of(records: &Records) -> Self {
        let has = |ending: &str| {
            records.members.iter().any(|record| {
                record.name.strip_suffix(ending).is_some_and(|root| root.is_empty() || root.ends_with('/'))
            })
        };
        Self {
            is_torch: has("data.pkl") || has("version"),
            is_script: has("constants.pkl"),
            is_package: has(".data/extern_modules"),
        }
    }
}
