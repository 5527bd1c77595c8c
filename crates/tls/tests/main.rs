//! Two ends in memory: this crate's server and rustls' client.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers too")]

mod bad_input;
mod certificates;
mod client_certificates;
mod contexts;
mod fuzz;
mod fuzz_entries;
mod handshake;
mod hello_limits;
mod pair;
mod records;
mod resumption;
