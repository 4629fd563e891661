//! HDF5 files: what they take from other files, what stands before them, and the Keras configuration in their attributes.

use super::{Examiner, inside};
use crate::formats::containers::hdf5::{self, Outside};
use crate::model::{Oddity, ReadError, Severity, Value};
use crate::raw::ByteSource;

/// Where the superblock may stand behind a user block.
const USER_BLOCKS: [u64; 8] = [512, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16];

impl Examiner<'_> {
    pub(super) fn hdf5(&mut self, source: &ByteSource, head: &[u8], place: &str) -> Result<(), ReadError> {
        const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
        if !head.starts_with(SIGNATURE) {
            let begins = USER_BLOCKS.into_iter().find(|&at| {
                source.read_up_to("the HDF5 signature", at, 8).is_ok_and(|bytes| bytes == SIGNATURE)
            });
            let len = begins.unwrap_or_default();
            let text = format!("{len} bytes stand before the HDF5 file");
            self.evidence.observe(Oddity::UserBlock, place, Some(0), text);
            self.stray(source, 0, len, place)?;
        }
        let tree = hdf5::walk(source, true, self.progress)?;
        for group in &tree.groups {
            for link in group.links.iter().filter(|link| link.is_external) {
                let text = format!("{}/{} leads to {:?}, another file", group.path, link.name, link.target);
                self.evidence.observe(Oddity::ExternalLink, place, None, text);
            }
            for (name, value) in &group.attributes {
                if let (true, Value::Text(text)) = (name.ends_with("_config"), value) {
                    self.configuration(text, &inside(place, name));
                }
            }
        }
        for dataset in &tree.datasets {
            self.evidence.data_bytes = self.evidence.data_bytes.saturating_add(dataset.stored_bytes);
            let (kind, what) = match dataset.outside {
                Some(Outside::Virtual) => {
                    (Oddity::VirtualDataset, "takes its values from other datasets, perhaps of other files")
                }
                Some(Outside::External) => (Oddity::ExternalStorage, "has its values in another file"),
                None => continue,
            };
            let detail = format!("{} {what}", dataset.path);
            self.observe_about(kind, place, detail, vec![dataset.path.clone()]);
        }
        for problem in &tree.problems {
            let kind = match problem.severity {
                Severity::Error => Oddity::Unreadable,
                _ if problem.code == hdf5::UNREAD_LINKS => Oddity::Incomplete,
                _ => continue,
            };
            self.evidence.observe(kind, place, problem.offset, problem.message.as_str());
        }
        Ok(())
    }
}
