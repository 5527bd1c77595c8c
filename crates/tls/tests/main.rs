//! Two ends in memory: this crate's server and rustls' client.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test, in helpers too")]

mod answers;
mod bad_input;
mod certificate_tree;
mod certificates;
mod chains;
mod client_certificates;
mod contexts;
mod empty_records;
mod fuzz;
mod fuzz_entries;
mod fuzz_records;
mod handshake;
mod hello_limits;
mod identities;
mod malformed_records;
mod pair;
mod pkcs12;
mod raw_client;
mod records;
mod resumption;
mod revocation;
mod seen_server;
mod signature_schemes;
mod stored_sessions;
mod trace;
