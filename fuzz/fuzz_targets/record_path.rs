#![no_main]

#[path = "../../crates/tls/tests/fuzz_records.rs"]
mod fuzz_records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_records::record_path(data));
