//! Notices that an open file changed on disk: a thread of its own looks every few seconds, frames never do.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, SystemTime};

use super::CheckpointId;

/// For whom a file is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// An opening.
    Checkpoint(CheckpointId),
    /// The Curves page: it reads several files.
    Curves,
}

/// How often files are looked at. A glance is one `stat` per open checkpoint.
const INTERVAL: Duration = Duration::from_secs(3);

type Stamp = Option<(SystemTime, u64)>;

/// Watches the files of the open checkpoints.
pub struct FileWatch {
    /// Without a bound, since a frame must not wait: the thread may be held up by a drive that does not answer.
    list: Sender<Vec<(Watched, PathBuf)>>,
    changed: Receiver<Watched>,
}

impl FileWatch {
    /// Starts the thread. `wake` is called, from it, when a file changed.
    pub fn new(wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (list, lists) = channel();
        let (news, changed) = sync_channel(64);
        std::thread::Builder::new()
            .name("file-watch".to_owned())
            .spawn(move || watch(&lists, &news, wake))?;
        Ok(Self { list, changed })
    }

    /// Says which files to watch from now on. Known ones keep what they looked like when first seen.
    pub fn set(&self, files: Vec<(Watched, PathBuf)>) {
        // Without a receiver the thread is gone, and with it only the offer to reload.
        let _ = self.list.send(files);
    }

    /// For whom a file changed since the last call.
    pub fn poll(&self) -> Vec<Watched> {
        self.changed.try_iter().collect()
    }
}

fn watch(
    lists: &Receiver<Vec<(Watched, PathBuf)>>,
    news: &SyncSender<Watched>,
    wake: impl Fn() + Send + 'static,
) {
    let mut watched: Vec<(Watched, PathBuf, Stamp)> = Vec::new();
    loop {
        // Nothing open: sleep until something is.
        let message = if watched.is_empty() {
            lists.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            lists.recv_timeout(INTERVAL)
        };
        match message {
            Ok(files) => {
                watched = files
                    .into_iter()
                    .map(|(id, path)| {
                        let known = watched
                            .iter()
                            .find(|(other, known, _)| *other == id && *known == path)
                            .map(|(.., stamp)| *stamp);
                        let stamp = known.unwrap_or_else(|| stamp(&path));
                        (id, path, stamp)
                    })
                    .collect();
            }
            Err(RecvTimeoutError::Timeout) => {
                for (id, path, before) in &mut watched {
                    let now = stamp(path);
                    // A full queue is tried again at the next look; waiting here could wait forever.
                    if now != *before && news.try_send(*id).is_ok() {
                        *before = now;
                        wake();
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
