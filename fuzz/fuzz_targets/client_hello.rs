#![no_main]

#[path = "../../crates/tls/tests/fuzz_entries.rs"]
#[expect(dead_code, reason = "each target uses one entry")]
mod fuzz_entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_entries::client_hello(data));
