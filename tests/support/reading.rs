//! For benchmarks: work on files beside reading the same files and doing nothing else, in turns, so that the ratio holds
//! on a machine that is busy with other things.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ckptscope::raw::ByteSource;

/// Rounds of each kind; the median counts.
const ROUNDS: usize = 9;

/// Medians over the rounds.
pub struct Ratio {
    /// Gigabytes a second of reading alone.
    pub reading: f64,
    /// Gigabytes a second of the work.
    pub working: f64,
    /// CPU time of reading as a share of that of the work; `None` where the system does not tell.
    pub cpu: Option<f64>,
}

impl Ratio {
    /// The rate of the work as a share of that of reading.
    pub fn share(&self) -> f64 {
        self.working / self.reading
    }

    /// A line of a table under [`HEADING`].
    pub fn line(&self, name: &str) -> String {
        let cpu = self.cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.2}"));
        format!("  {name:<26}{:>13.2}{:>14.2}{:>8.2}{cpu:>11}", self.reading, self.working, self.share())
    }
}

/// Above the lines.
pub const HEADING: &str = "                              reading GB/s  working GB/s   share  CPU share";

/// Times `work` on files of together `bytes` bytes against reading them with as many threads.
pub fn against_reading(paths: &[&Path], bytes: u64, threads: usize, work: impl Fn()) -> Ratio {
    let (mut reading, mut working) = (Vec::new(), Vec::new());
    let (mut reading_cpu, mut working_cpu) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        let (seconds, cpu) = timed(|| paths.iter().for_each(|path| read_alone(path, threads)));
        reading.push(seconds);
        reading_cpu += cpu;
        let (seconds, cpu) = timed(&work);
        working.push(seconds);
        working_cpu += cpu;
    }
    let rate = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        bytes as f64 / times[times.len() / 2] / 1e9
    };
    let cpu = (working_cpu > 0.0).then(|| reading_cpu / working_cpu);
    Ratio { reading: rate(&mut reading), working: rate(&mut working), cpu }
}

/// Seconds on the clock and of the processors.
fn timed(work: impl FnOnce()) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work();
    (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

/// CPU time of this process so far, in hundredths of seconds as Linux counts; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program stands in parentheses and can hold spaces; fields 14 and 15 of all are the times.
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The same reads as a scan makes, without looking at the bytes.
fn read_alone(path: &Path, threads: usize) {
    const PIECE: u64 = 512 << 10;
    let source = ByteSource::open(path).expect("readable");
    let next = AtomicU64::new(0);
    let work = || {
        let mut buffer = vec![0u8; PIECE as usize];
        loop {
            let start = next.fetch_add(PIECE, Ordering::Relaxed);
            if start >= source.len() {
                return;
            }
            let length = (source.len() - start).min(PIECE) as usize;
            source.read_at("values", start, &mut buffer[..length]).expect("readable");
            divan::black_box(&mut buffer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}
