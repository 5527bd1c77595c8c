//! What the binary is built of.

use napi_derive::napi;

/// Versions of what the binary is built of.
#[napi(object)]
pub struct NativeVersions {
    /// TLS.
    pub rustls: String,
    /// The cryptography below rustls.
    pub aws_lc_rs: String,
    /// The runtime of the I/O workers.
    pub tokio: String,
}

/// Versions of what this binary is built of.
#[napi]
#[must_use]
pub fn versions() -> NativeVersions {
    NativeVersions {
        rustls: env!("OFFLOOP_RUSTLS_VERSION").to_owned(),
        aws_lc_rs: env!("OFFLOOP_AWS_LC_RS_VERSION").to_owned(),
        tokio: env!("OFFLOOP_TOKIO_VERSION").to_owned(),
    }
}
