#![no_main]

use std::ops::ControlFlow;

use ckptscope::formats::containers::hdf5::walk;
use ckptscope::model::Progress;
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let progress = Progress::new();
    let Ok(tree) = walk(&ByteSource::from_vec(data.to_vec()), false, &progress) else { return };
    for dataset in &tree.datasets {
        let _ = dataset.read_chunks(&progress, &mut |_| ControlFlow::Continue(()));
    }
});
