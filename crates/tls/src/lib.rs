#![forbid(unsafe_code)]
//! TLS without I/O: contexts, the server handshake as explicit steps, records.
//!
//! Bytes go in and come out through calls; who moves them, and on which thread, is the caller's
//! affair. The walk of one connection:
//!
//! 1. [`handshake`] gives [`NeedBytes`]; what arrives goes to [`NeedBytes::receive`].
//! 2. A whole ClientHello gives [`Decide`]: look at [`Decide::hello`], choose a [`ServerContext`]
//!    (a [`ContextTable`] does it by server name) and [`Decide::accept`] it.
//! 3. That gives a [`Job`], the costly part: [`Job::run`] it wherever [`Job::cost`] says it fits.
//! 4. [`Outgoing`] bytes go to the client, [`NeedBytes`] asks for the client's answer.
//! 5. [`Established`] holds the [`Session`]'s facts and the [`Records`]; or [`Failure`] holds the
//!    alert that is still to be sent, and the [`Code`] that users of `node:tls` match.
//!
//! rustls with aws-lc-rs does the cryptography, behind this crate alone: no type of rustls is in
//! this API, but those of `rustls-pki-types` are.

mod alert;
mod answer;
mod authorities;
mod certificate;
mod choice;
mod cipher;
mod client_certificates;
mod client_hello;
mod client_signature;
mod code;
mod context;
mod context_error;
mod context_options;
mod context_table;
mod cost;
mod der;
mod failure;
mod fingerprint;
mod flight;
mod group;
mod handshake;
mod hello_assembly;
mod hello_outline;
mod hex;
mod identity;
mod inbound;
mod key_log;
mod key_type;
mod live_keys;
mod opener;
mod pkcs12;
mod protection;
mod protocol_version;
mod reader;
mod record_cursor;
mod record_header;
mod records;
mod refusal;
mod rsa_key;
mod sealed_alert;
mod session;
mod shared_ticket_keys;
mod signature_scheme;
mod stored_sessions;
mod ticket_key;
mod tickets;
mod trace;

pub use alert::Alert;
pub use answer::Answer;
pub use cipher::{CipherInfo, CipherSuite};
pub use client_certificates::ClientAuth;
pub use client_hello::ClientHello;
pub use code::Code;
pub use context::ServerContext;
pub use context_error::ContextError;
pub use context_options::ContextOptions;
pub use context_table::ContextTable;
pub use cost::Cost;
pub use failure::Failure;
pub use group::Group;
pub use handshake::{
    Decide, Established, HandshakeLimits, Job, NeedBytes, Outgoing, Step, handshake,
};
pub use hello_outline::HelloOutline;
pub use hex::Hex;
pub use identity::Identity;
pub use key_log::KeyLogSink;
pub use key_type::KeyType;
pub use live_keys::live_keys;
pub use pkcs12::{Pkcs12, Pkcs12Fault, parse_pkcs12};
pub use protocol_version::ProtocolVersion;
pub use records::{Received, Records};
pub use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
pub use session::Session;
pub use shared_ticket_keys::SharedTicketKeys;
pub use signature_scheme::SignatureScheme;
pub use stored_sessions::NewSession;
pub use tickets::Tickets;
pub use trace::TraceSink;
pub use zeroize::Zeroizing;
