//! Notices that an open file changed on disk: a thread of its own looks every few seconds, frames never do.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
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

type List = Option<Vec<(Watched, PathBuf)>>;
type Stamp = Option<(SystemTime, u64)>;

/// Watches the files of the open checkpoints.
pub struct FileWatch {
    /// What to watch, until the thread takes it: a frame must not wait for one that a drive holds up.
    list: Arc<Mutex<List>>,
    /// Tells the thread that there is a new list.
    nudge: SyncSender<()>,
    changed: Receiver<Watched>,
}

impl FileWatch {
    /// Starts the thread. `wake` is called, from it, when a file changed.
    pub fn new(wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let list: Arc<Mutex<List>> = Arc::default();
        let (nudge, nudges) = sync_channel(1);
        let (news, changed) = sync_channel(64);
        let shared = Arc::clone(&list);
        std::thread::Builder::new()
            .name("file-watch".to_owned())
            .spawn(move || watch(&shared, &nudges, &news, wake))?;
        Ok(Self { list, nudge, changed })
    }

    /// Says which files to watch from now on. Known ones keep what they looked like when first seen.
    pub fn set(&self, files: Vec<(Watched, PathBuf)>) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(files);
        // A nudge that waits is enough. Without a receiver the thread is gone, and with it only the offer to reload.
        let _ = self.nudge.try_send(());
    }

    /// For whom a file changed since the last call.
    pub fn poll(&self) -> Vec<Watched> {
        self.changed.try_iter().collect()
    }
}

fn watch(
    list: &Mutex<List>,
    nudges: &Receiver<()>,
    news: &SyncSender<Watched>,
    wake: impl Fn() + Send + 'static,
) {
    let mut watched: Vec<(Watched, PathBuf, Stamp)> = Vec::new();
    loop {
        // Nothing open: sleep until something is.
        let message = if watched.is_empty() {
            nudges.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            nudges.recv_timeout(INTERVAL)
        };
        match message {
            Ok(()) => {
                let files = list.lock().unwrap_or_else(PoisonError::into_inner).take();
                let Some(files) = files else { continue };
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
