//! `inspect --verify` of an event file: every checksum of its records. A log holds no tensors, so there is nothing else
//! to inspect in it; its curves are for `curves`.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::{Exit, Failure};
use crate::model::Progress;
use crate::raw::ByteSource;
use crate::text;
use crate::training_logs::tensorboard::frames::{self, Frames};

/// Lines of damage in the text output; `--json` has as many as are kept.
const SHOWN: usize = 50;

/// Checks the path, if it is an event file; `None` where it is not.
pub fn check(path: &Path) -> Option<Frames> {
    let source = ByteSource::open(path).ok()?;
    frames::check(&source, &Progress::new()).ok().flatten()
}

/// Prints what was found, and says how the program ends.
pub fn write(path: &Path, found: &Frames, is_json: bool, out: &mut impl Write) -> Result<Exit, Failure> {
    if is_json {
        let whole = json!({
            "schema": 1,
            "path": path.to_string_lossy(),
            "format": "tensorboard",
            "tensors": [],
            "verified": {
                "checksums": found.checksums,
                "records": found.records,
                "readable": 0,
                "not_read": 0,
                "damage": found.damage,
                "damage_left_out": found.more,
            },
        });
        serde_json::to_writer(&mut *out, &whole).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let is_whole = found.damage.is_empty();
        writeln!(out, "{}", text::escape(&path.to_string_lossy()))?;
        writeln!(out, "Format      TensorBoard event file")?;
        writeln!(out, "Records     {} ({})", text::count(found.records), text::bytes(found.bytes))?;
        writeln!(out, "\n{}", if is_whole { "Verified" } else { "Damaged" })?;
        writeln!(out, "{} checksums of the records were compared.", text::count(found.checksums))?;
        for damage in found.damage.iter().take(SHOWN) {
            writeln!(out, "damage: {damage}")?;
        }
        let more = found.damage.len().saturating_sub(SHOWN) as u64 + found.more;
        if more > 0 {
            writeln!(out, "… {} more (--json shows more)", text::count(more))?;
        }
    }
    Ok(if found.damage.is_empty() { Exit::Done } else { Exit::Differs })
}
