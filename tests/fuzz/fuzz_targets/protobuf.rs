#![no_main]

use ckptscope::formats::containers::protobuf::{Message, SourceFields};
use ckptscope::raw::ByteSource;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut open = vec![Message::new(data, 0)];
    let mut left = 100_000;
    while let Some(message) = open.pop() {
        for field in message.map_while(Result::ok) {
            left -= 1;
            if left == 0 {
                return;
            }
            let _ = (field.text(), field.varints());
            open.extend(field.message().ok());
        }
    }
    let source = ByteSource::from_vec(data.to_vec());
    if let Ok(fields) = SourceFields::new(&source, 0, source.len()) {
        fields.for_each(drop);
    }
});
