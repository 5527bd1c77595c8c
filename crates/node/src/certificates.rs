//! Certificates for development.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use napi_derive::napi;
use offloop_certificates::{Error, Issued, KeyType, Validity, authority, issue};

use crate::{Result, coded};

/// A certificate with its key.
#[napi(object)]
pub struct NativeIssued {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS#8.
    pub key: String,
}

/// What a certificate is to be.
#[napi(object)]
pub struct NativeCertificateOptions {
    /// `p256` or `rsa` (2,048 bits).
    pub key_type: String,
    /// The first second that it is valid, since 1970.
    pub valid_from: f64,
    /// The last one.
    pub valid_until: f64,
}

/// Makes an authority for development.
#[napi]
pub fn make_authority(name: String, options: NativeCertificateOptions) -> Result<NativeIssued> {
    made(authority(&name, options.key_type()?, options.validity()))
}

/// Makes a server's certificate for these names and IP addresses.
#[napi]
pub fn issue_certificate(
    authority: NativeIssued,
    names: Vec<String>,
    options: NativeCertificateOptions,
) -> Result<NativeIssued> {
    let authority = Issued { certificate: authority.certificate, key: authority.key };
    made(issue(&authority, &names, options.key_type()?, options.validity()))
}

impl NativeCertificateOptions {
    fn key_type(&self) -> Result<KeyType> {
        match self.key_type.as_str() {
            "p256" => Ok(KeyType::P256),
            "rsa" => Ok(KeyType::Rsa),
            other => Err(coded(
                "ERR_INVALID_ARG_VALUE",
                format!("The type of a key must be p256 or rsa, got '{other}'"),
            )),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "what no certificate can hold is refused")]
    fn validity(&self) -> Validity {
        Validity { from: self.valid_from as i64, until: self.valid_until as i64 }
    }
}

fn made(issued: std::result::Result<Issued, Error>) -> Result<NativeIssued> {
    let Issued { certificate, key } =
        issued.map_err(|error| coded("ERR_INVALID_ARG_VALUE", error.to_string()))?;
    Ok(NativeIssued { certificate, key })
}
