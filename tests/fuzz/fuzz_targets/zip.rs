#![no_main]

use ckptscope::formats::containers::{zip::ZipArchive, zip_records::Records};
use ckptscope::model::Progress;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = ByteSource::from_vec(data.to_vec());
    let _ = Records::read(&source, &Progress::new());
    if let Ok(archive) = ZipArchive::open(&source) {
        for entry in archive.entries() {
            let _ = archive.read(entry, 1 << 24);
        }
    }
});
