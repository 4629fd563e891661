//! Work that cannot be stopped midway, such as a matrix decomposition by a library: it runs on a thread of its own, and
//! who waits for it goes away when cancelled. The work then ends by itself, unseen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::model::{Progress, ReadError};

/// How often a waiting thread looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// Held by the work that runs: what was abandoned must not pile up.
static RUNNING: Mutex<()> = Mutex::new(());

/// Does `work` and returns its result, or soon after `progress` is cancelled an error. `None`: the work panicked.
///
/// One piece of work runs at a time in the whole program; others wait for their turn, also for one that was abandoned.
pub(super) fn abandonable<T: Send + 'static>(
    progress: &Progress,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, ReadError> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = sync_channel(1);
    let is_abandoned = Arc::clone(&abandoned);
    thread::Builder::new().name("decomposition".to_owned()).spawn(move || {
        let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_abandoned.load(Ordering::Relaxed) {
            let _ = sender.send(work()); // nobody may be waiting any more
        }
    })?;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return Ok(Some(result)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(cancelled) = progress.advance(0) {
                    abandoned.store(true, Ordering::Relaxed);
                    return Err(cancelled.into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn who_waits_is_cancelled_at_once_and_the_next_work_waits_for_what_was_abandoned() {
        let progress = &Progress::new();
        let (started, has_started) = sync_channel(1);
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ended);
        let result = thread::scope(|scope| {
            scope.spawn(move || {
                has_started.recv().expect("it starts");
                progress.cancel();
            });
            abandonable(progress, move || {
                started.send(()).expect("someone listens");
                thread::sleep(Duration::from_millis(500));
                ended.store(true, Ordering::SeqCst);
            })
        });
        assert!(matches!(result, Err(ReadError::Cancelled)));
        let next = abandonable(&Progress::new(), move || has_ended.load(Ordering::SeqCst));
        assert_eq!(next.expect("not cancelled"), Some(true));
    }

    #[test]
    fn a_panic_is_no_result() {
        let result =
            abandonable(&Progress::new(), || assert!(std::hint::black_box(false), "as a library might"));
        assert!(matches!(result, Ok(None)));
    }
}
