//! The napi binding of offloop: plain data, slab memory and one doorbell. No TLS and no socket
//! logic; the rules of the border stand on top of `ts/native.ts`.

mod backends;
// Public for the lints, which see no use of a function that only napi registers.
pub mod certificates;
mod configuration;
mod context;
mod decision;
mod doorbell;
// As `certificates`.
pub mod entropy;
mod handshake;
mod hub;
mod operations;
mod options;
// As `certificates`.
pub mod pkcs12;
mod records;
mod report;
mod session;
mod sheds;
// As `certificates`.
pub mod stats;
mod ticket_keys;
// As `certificates`.
pub mod versions;

use mimalloc::MiMalloc;

/// glibc's allocator costs the record path a factor of two.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An error with a code that JavaScript sees as `error.code`.
type Result<T, E = napi::Error<String>> = std::result::Result<T, E>;

fn coded(code: &str, message: impl Into<String>) -> napi::Error<String> {
    napi::Error::new(code.to_owned(), message.into())
}
