//! Work over values stops soon after it is cancelled, wherever it is.

use std::io::Write as _;
use std::time::{Duration, Instant};

use ckptscope::analysis::scan::scan;
use ckptscope::analysis::spectrum;
use ckptscope::model::{Progress, TensorId};

use crate::statistics::{bytes, file_of, floats};
use crate::support::open;

/// How long work goes on after it was cancelled while it ran; also whether it says so.
fn time_to_stop(after: Duration, work: impl FnOnce(&Progress) -> bool) -> Duration {
    let progress = Progress::new();
    std::thread::scope(|scope| {
        let cancelled = scope.spawn(|| {
            std::thread::sleep(after);
            progress.cancel();
            Instant::now()
        });
        assert!(work(&progress), "it ended without being cancelled");
        Instant::now().duration_since(cancelled.join().unwrap())
    })
}

/// Far more than any of these take to stop, and far less than they would take to end: machines that test are busy.
const SOON: Duration = Duration::from_millis(500);

#[test]
fn a_scan_of_gibibytes_stops_soon_after_it_is_cancelled() {
    let (folder, _) = file_of(&[]);
    let path = folder.path().join("large.safetensors");
    let header =
        format!(r#"{{"x":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}}"#, 1u64 << 34, 1u64 << 36);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + (1 << 36)).unwrap();
    let checkpoint = open(&path).unwrap();
    let ids = [TensorId(0)];
    let took = time_to_stop(Duration::from_millis(50), |progress| {
        scan(&checkpoint, &ids, 2, progress, &|_, _| ()).is_err()
    });
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_decomposition_is_left_to_itself_when_it_is_cancelled() {
    let values = bytes(&floats(1200 * 1200));
    let (_folder, checkpoint) = file_of(&[("x", "F32", &[1200, 1200], &values)]);
    let took = time_to_stop(Duration::from_millis(100), |progress| {
        spectrum::spectrum(&checkpoint, TensorId(0), progress).is_err()
    });
    assert!(took < SOON, "{took:?}");
}
