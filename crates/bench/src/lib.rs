//! The load generator of the comparison with node:tls, behind the program `offloop-load`.
//!
//! One client process makes the load for every server under comparison. It prints JSON, one object
//! a line, and its own share of a core with each result: above 0.9 the figures show the client, not
//! the server, and the result says so (`client_saturated`).
//!
//! The order of reading: [`mode`] has one file for each kind of load, which dials through
//! [`target`], talks through [`link`], and counts in a [`tally`] while its [`window`] measures.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod key_share;
pub mod link;
pub mod mode;
pub mod pinned;
pub mod process;
pub mod report;
pub mod session_store;
pub mod tally;
pub mod target;
pub mod tls_link;
pub mod window;
