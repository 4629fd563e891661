//! Names for files that are not checkpoints.

use super::Probe;

/// What the path seems to be, in words that complete "Not a checkpoint: …".
pub fn looks_like(_probe: &Probe) -> String {
    "its content is not of a known kind".to_owned()
}
