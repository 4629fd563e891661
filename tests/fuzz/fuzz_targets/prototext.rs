#![no_main]

use ckptscope::formats::tensorflow::text_form::{binary, looks_like};
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(root) = looks_like(data) {
        let _ = binary(&ByteSource::from_vec(data.to_vec()), root);
    }
});
