#![no_main]

use ckptscope::formats::containers::npy::Header;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Header::read(|len| Ok(data[..data.len().min(len as usize)].to_vec()));
});
