//! PKCS#12 files, the `pfx` of a context.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use offloop_engine::tls::{self, Pkcs12};

use crate::session::buffers;
use crate::{Result, coded};

/// What a PKCS#12 file holds.
#[napi(object)]
pub struct NativePkcs12 {
    /// The private key, DER, PKCS#8.
    pub key: Buffer,
    /// DER, the key's own certificate first.
    pub chain: Vec<Buffer>,
    /// DER: all certificates but the key's own.
    pub authorities: Vec<Buffer>,
}

/// Opens a PKCS#12 file. Errors have the codes and messages of `tls.createSecureContext`.
#[napi]
pub fn parse_pkcs12(data: &[u8], passphrase: Option<String>) -> Result<NativePkcs12> {
    let Pkcs12 { key, chain, authorities } = tls::parse_pkcs12(data, passphrase.as_deref())
        .map_err(|error| coded(error.code().as_str(), error.to_string()))?;
    Ok(NativePkcs12 {
        key: key.secret_der().into(),
        chain: buffers(&chain),
        authorities: buffers(&authorities),
    })
}
