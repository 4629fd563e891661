//! Background work: a fixed number of named threads between the window and everything slow.
//!
//! A job owns what it needs and returns a value; it never touches state. The only place that turns a
//! panic into a failed job is the thread's loop here. What each job does is in [`run`].

pub mod cache;
pub mod compare;
pub mod curves;
mod difference;
mod examine;
pub mod export;
pub mod loadable;
pub mod look;
pub mod prepare;
pub mod request;
pub mod run;
mod scan;
mod surroundings;
pub mod watch;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use crate::export::report::ReportFormat;
pub use cache::Cache;
pub use compare::{CompareOptions, Compared, ComparisonKey, MetadataLine, Paired};
pub use loadable::Loadable;
pub use look::{Against, HeatMap, Look, LookKey, Looked, NormsSummary};
pub use prepare::{Preparation, Prepared, Purpose};
pub use request::{
    CheckpointId, EXAMPLES, Example, FileIdentity, JobError, JobEvent, JobKey, JobOutcome, JobOutput,
    JobRequest, ScannedTensor, StatisticsKey, Subject, Surroundings, ValueSummary,
};

use crate::model::Progress;

/// A job as the status line shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    /// What it works for.
    pub key: JobKey,
    /// What it does.
    pub label: String,
    /// Between 0 and 1; `None` while the total is unknown.
    pub fraction: Option<f32>,
    /// Bytes done.
    pub done: u64,
    /// For how long it has run or waited.
    pub elapsed: Duration,
}

/// What a thread does with a job: the last argument takes results before the end.
type Work = fn(&JobRequest, &Progress, &(dyn Fn(JobOutput) + Sync)) -> JobOutcome;

struct Queued {
    serial: u64,
    request: JobRequest,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Queued>,
    /// How many jobs run that nobody waits for.
    background: usize,
    /// How many jobs run that may take long, these included.
    slow: usize,
    closed: bool,
}

impl Queue {
    /// The next job to run. One thread is always left for what takes a moment only, and most of the others for what
    /// somebody waits for: while one file is scanned and two are compared, a look at a tensor has a thread.
    fn take(&mut self, workers: usize) -> Option<Queued> {
        let may_be_slow = self.slow + 1 < workers;
        let may_be_background = may_be_slow && self.background < (workers.saturating_sub(2) / 2).max(1);
        let index = self.jobs.iter().position(|job| {
            job.request.is_quick()
                || if job.request.is_background() { may_be_background } else { may_be_slow }
        })?;
        let job = self.jobs.remove(index)?;
        self.background += usize::from(job.request.is_background());
        self.slow += usize::from(!job.request.is_quick());
        Some(job)
    }

    /// A job that was taken has ended.
    fn ended(&mut self, request: &JobRequest) {
        self.background -= usize::from(request.is_background());
        self.slow -= usize::from(!request.is_quick());
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    news: Condvar,
}

impl Shared {
    /// The queue stays consistent whatever panicked, since no job runs while it is held.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Active {
    serial: u64,
    key: JobKey,
    label: String,
    progress: Arc<Progress>,
    since: Instant,
}

/// Runs jobs on its own threads; asked and polled from one thread.
pub struct JobRunner {
    shared: Arc<Shared>,
    finished: Receiver<(u64, JobOutcome)>,
    active: Vec<Active>,
    stopped: Vec<JobEvent>,
    next_serial: u64,
}

impl JobRunner {
    /// Starts `workers` threads. `wake` is called, from those threads, when a job has ended.
    pub fn new(workers: usize, wake: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        Self::with_work(workers, wake, run::run)
    }

    fn with_work(
        workers: usize,
        wake: impl Fn() + Send + Sync + 'static,
        work: Work,
    ) -> std::io::Result<Self> {
        let workers = workers.max(2) + 1; // one for what is quick
        let shared = Arc::new(Shared::default());
        let wake = Arc::new(wake);
        // A window that does not poll holds the workers up, not the memory.
        let (sender, finished) = sync_channel(1024);
        for index in 0..workers {
            let (shared, sender, wake) = (shared.clone(), sender.clone(), wake.clone());
            std::thread::Builder::new()
                .name(format!("job-{index}"))
                .spawn(move || worker(&shared, workers, &sender, &*wake, work))?;
        }
        Ok(Self { shared, finished, active: Vec::new(), stopped: Vec::new(), next_serial: 0 })
    }

    /// Queues a job; jobs that it replaces are cancelled.
    pub fn submit(&mut self, request: JobRequest) {
        let key = request.key();
        self.stop(|other| key.replaces(other));
        self.next_serial += 1;
        let progress = Arc::new(Progress::new());
        self.active.push(Active {
            serial: self.next_serial,
            key,
            label: request.label(),
            progress: progress.clone(),
            since: Instant::now(),
        });
        self.shared.queue().jobs.push_back(Queued { serial: self.next_serial, request, progress });
        self.shared.news.notify_one();
    }

    /// Cancels the job for a key, if there is one.
    pub fn cancel(&mut self, key: &JobKey) {
        self.stop(|other| other == key);
    }

    /// Cancels all jobs of one opening.
    pub fn cancel_all_of(&mut self, checkpoint: CheckpointId) {
        self.stop(|key| key.checkpoint() == checkpoint || key.other() == Some(checkpoint));
    }

    fn stop(&mut self, matches: impl Fn(&JobKey) -> bool) {
        let mut queue = self.shared.queue();
        let stopped = &mut self.stopped;
        self.active.retain(|job| {
            if !matches(&job.key) {
                return true;
            }
            job.progress.cancel();
            queue.jobs.retain(|queued| queued.serial != job.serial);
            stopped.push(JobEvent { key: job.key.clone(), outcome: JobOutcome::Cancelled });
            false
        });
    }

    /// What ended since the last call, in order. Never blocks.
    pub fn poll(&mut self) -> Vec<JobEvent> {
        let mut events = std::mem::take(&mut self.stopped);
        while let Ok((serial, outcome)) = self.finished.try_recv() {
            // A cancelled job was reported when it was cancelled.
            if let Some(index) = self.active.iter().position(|job| job.serial == serial) {
                let key = match outcome {
                    JobOutcome::Partial(_) => self.active[index].key.clone(),
                    _ => self.active.remove(index).key,
                };
                events.push(JobEvent { key, outcome });
            }
        }
        events
    }

    /// The jobs that wait or run, oldest first.
    pub fn running(&self) -> impl Iterator<Item = JobStatus> + '_ {
        self.active.iter().map(|job| JobStatus {
            key: job.key.clone(),
            label: job.label.clone(),
            fraction: job.progress.fraction(),
            done: job.progress.done(),
            elapsed: job.since.elapsed(),
        })
    }
}

impl Drop for JobRunner {
    /// Asks all jobs to stop. Threads are not waited for: one may be inside a slow read.
    fn drop(&mut self) {
        self.stop(|_| true);
        self.shared.queue().closed = true;
        self.shared.news.notify_all();
    }
}

fn worker(
    shared: &Shared,
    workers: usize,
    finished: &SyncSender<(u64, JobOutcome)>,
    wake: &(dyn Fn() + Send + Sync),
    work: Work,
) {
    loop {
        let mut queue = shared.queue();
        let job = loop {
            if queue.closed {
                return;
            }
            match queue.take(workers) {
                Some(job) => break job,
                None => queue = shared.news.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(queue);
        let serial = job.serial;
        let report = |output: JobOutput| {
            // Nobody listens any more: the program ends, and this job was asked to stop.
            if finished.send((serial, JobOutcome::Partial(output))).is_ok() {
                wake();
            }
        };
        // A defect in one reader must not take the window down with it; nothing of the job survives the unwinding.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&job.request, &job.progress, &report)))
            .unwrap_or_else(|panic| JobOutcome::Failed(panic_error(panic.as_ref())));
        shared.queue().ended(&job.request);
        shared.news.notify_one();
        drop(job.request);
        if finished.send((serial, outcome)).is_err() {
            return;
        }
        wake();
    }
}

fn panic_error(panic: &(dyn std::any::Any + Send)) -> JobError {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    JobError::new(
        format!("Ckptscope met a defect of its own while doing this: {words}."),
        Some("Please report it with the file, if you can share it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Duration;

    /// A test that waits longer than this has failed; it never hangs.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn request(id: u64, path: &str) -> JobRequest {
        JobRequest::Open { id: CheckpointId(id), path: PathBuf::from(path) }
    }

    /// `spin` runs until cancelled, `panic` panics, anything else ends at once.
    fn fake(request: &JobRequest, progress: &Progress, _: &(dyn Fn(JobOutput) + Sync)) -> JobOutcome {
        let JobRequest::Open { path, .. } = request else { return JobOutcome::Cancelled };
        match path.to_str() {
            Some("spin") => {
                while progress.advance(1).is_ok() {
                    std::thread::yield_now();
                }
                JobOutcome::Cancelled
            }
            Some("panic") => panic!("a test panics"),
            _ => JobOutcome::Failed(JobError::new("done", None)),
        }
    }

    fn runner() -> (JobRunner, mpsc::Receiver<()>) {
        let (sender, woken) = mpsc::sync_channel(1024);
        let sender = Mutex::new(sender);
        let wake = move || drop(sender.lock().map(|sender| sender.send(())));
        (JobRunner::with_work(1, wake, fake).unwrap(), woken)
    }

    #[test]
    fn a_finished_job_wakes_the_window_and_is_reported_once() {
        let (mut jobs, woken) = runner();
        jobs.submit(request(1, "quick"));
        woken.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(&jobs.poll()[..], [JobEvent { key: JobKey::Open(CheckpointId(1)), .. }]));
        assert!(jobs.poll().is_empty());
        assert_eq!(jobs.running().count(), 0);
    }

    #[test]
    fn a_panic_becomes_a_failed_job_and_the_thread_lives_on() {
        let (mut jobs, woken) = runner();
        jobs.submit(request(1, "panic"));
        jobs.submit(request(2, "quick"));
        woken.recv_timeout(PATIENCE).unwrap();
        woken.recv_timeout(PATIENCE).unwrap();
        let events = jobs.poll();
        let panicked = |event: &&JobEvent| matches!(&event.outcome, JobOutcome::Failed(error) if error.message.contains("a test panics"));
        assert_eq!(events.iter().filter(panicked).count(), 1);
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn a_newer_job_for_the_same_key_replaces_the_older() {
        let (mut jobs, woken) = runner();
        jobs.submit(request(1, "spin"));
        jobs.submit(request(1, "quick"));
        // The older one wakes nobody when it was still waiting for a thread.
        let mut outcomes = Vec::new();
        while outcomes.len() < 2 {
            woken.recv_timeout(PATIENCE).unwrap();
            outcomes.extend(jobs.poll().into_iter().map(|event| event.outcome));
        }
        assert!(matches!(outcomes[..], [JobOutcome::Cancelled, JobOutcome::Failed(_)]));
    }

    #[test]
    fn a_cancelled_job_is_reported_at_once_and_ends() {
        let (mut jobs, woken) = runner();
        jobs.submit(request(1, "spin"));
        jobs.cancel(&JobKey::Open(CheckpointId(1)));
        assert!(matches!(jobs.poll()[..], [JobEvent { outcome: JobOutcome::Cancelled, .. }]));
        jobs.submit(request(2, "quick"));
        while jobs.poll().is_empty() {
            woken.recv_timeout(PATIENCE).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_read_that_never_returns_holds_up_no_one_else() {
        use std::io::Read;
        use std::os::unix::net::UnixStream;

        /// `stalled` waits for a byte that never comes, as of a network drive that is gone, and asks nobody meanwhile.
        fn stalled(request: &JobRequest, _: &Progress, _: &(dyn Fn(JobOutput) + Sync)) -> JobOutcome {
            if let JobRequest::Open { path, .. } = request
                && path.to_str() == Some("stalled")
            {
                let (mut reader, _writer) = UnixStream::pair().unwrap();
                let _ = reader.read(&mut [0]);
            }
            JobOutcome::Failed(JobError::new("done", None))
        }
        const FRAME: Duration = Duration::from_secs(2);
        let (sender, woken) = mpsc::sync_channel(1024);
        let sender = Mutex::new(sender);
        let wake = move || drop(sender.lock().map(|sender| sender.send(())));
        let mut jobs = JobRunner::with_work(3, wake, stalled).unwrap();
        jobs.submit(request(1, "stalled"));
        let start = Instant::now();
        jobs.submit(request(2, "quick"));
        assert!(start.elapsed() < FRAME);
        woken.recv_timeout(PATIENCE).unwrap();
        let start = Instant::now();
        assert!(matches!(&jobs.poll()[..], [JobEvent { key: JobKey::Open(CheckpointId(2)), .. }]));
        assert_eq!(jobs.running().count(), 1);
        // Nobody has to wait for it to be rid of it, nor to end the program.
        jobs.cancel(&JobKey::Open(CheckpointId(1)));
        assert!(matches!(jobs.poll()[..], [JobEvent { outcome: JobOutcome::Cancelled, .. }]));
        assert_eq!(jobs.running().count(), 0);
        drop(jobs);
        assert!(start.elapsed() < FRAME, "{:?}", start.elapsed());
    }
}
