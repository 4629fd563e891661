#![no_main]

use ckptscope::formats::containers::tar;
use ckptscope::model::Progress;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = tar::first_name(data);
    let _ = tar::entries(&ByteSource::from_vec(data.to_vec()), &Progress::new());
});
