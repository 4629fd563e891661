#![no_main]

use ckptscope::analysis::safety::judge;
use ckptscope::formats::examine_bytes;
use ckptscope::model::Progress;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(evidence) = examine_bytes(&ByteSource::from_vec(data.to_vec()), &Progress::new()) {
        let _ = judge(&evidence);
    }
});
