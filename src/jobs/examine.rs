//! What a file would do when it is loaded, for the Safety page. Also for files that open as no checkpoint.

use std::path::Path;
use std::sync::Arc;

use super::request::{JobError, JobOutcome};
use crate::analysis::safety::{Safety, judge};
use crate::formats;
use crate::model::{Checkpoint, Progress};

/// Looks at the file and judges it. Reads no values.
pub fn examine(
    path: &Path,
    checkpoint: Option<&Checkpoint>,
    progress: &Progress,
) -> Result<Arc<Safety>, JobOutcome> {
    let examined = formats::examine(path, false, progress);
    let evidence = match checkpoint {
        Some(checkpoint) => formats::with_opened(examined, Ok(checkpoint)),
        // Why it does not open is a part of the answer.
        None => match formats::open(path, progress) {
            Ok(checkpoint) => formats::with_opened(examined, Ok(&checkpoint)),
            Err(error) => formats::with_opened(examined, Err(&error)),
        },
    };
    match evidence {
        Ok(evidence) => Ok(Arc::new(judge(&evidence))),
        Err(error) if error.is_cancelled() => Err(JobOutcome::Cancelled),
        Err(error) => Err(JobOutcome::Failed(JobError::new(error.to_string(), None))),
    }
}
