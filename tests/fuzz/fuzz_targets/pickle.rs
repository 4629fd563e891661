#![no_main]

use ckptscope::formats::containers::pickle::{parse, scan};
use ckptscope::model::Progress;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = ByteSource::from_vec(data.to_vec());
    let _ = parse(&source, 0, &Progress::new());
    let _ = scan(&source, 0, 1 << 20, &Progress::new());
});
