#![no_main]

use ckptscope::formats::containers::sstable::Table;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(mut table) = Table::open(&ByteSource::from_vec(data.to_vec())) {
        let _ = table.visit(&mut |_| Ok(()));
    }
});
