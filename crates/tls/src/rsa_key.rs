use rustls_pki_types::PrivateKeyDer;

use crate::der::{INTEGER, OCTET_STRING, SEQUENCE, contents};
use crate::reader::Reader;

/// The length of an RSA key, `None` for keys of another kind. aws-lc-rs doesn't tell it of keys
/// that it refuses.
pub(crate) fn modulus_bits(key: &PrivateKeyDer<'_>) -> Option<usize> {
    match key {
        PrivateKeyDer::Pkcs1(der) => of_pkcs1(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => of_pkcs8(der.secret_pkcs8_der()),
        _ => None,
    }
}

/// PrivateKeyInfo (RFC 5208 section 5). Keys of other kinds hold no RSAPrivateKey.
fn of_pkcs8(der: &[u8]) -> Option<usize> {
    let mut info = Reader(contents(&mut Reader(der), SEQUENCE)?);
    let _version = contents(&mut info, INTEGER)?;
    let _algorithm = contents(&mut info, SEQUENCE)?;
    of_pkcs1(contents(&mut info, OCTET_STRING)?)
}

/// RSAPrivateKey (RFC 8017 appendix A.1.2).
fn of_pkcs1(der: &[u8]) -> Option<usize> {
    let mut key = Reader(contents(&mut Reader(der), SEQUENCE)?);
    let _version = contents(&mut key, INTEGER)?;
    let modulus = contents(&mut key, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let (first, rest) = modulus[zeros..].split_first()?;
    Some(8 - first.leading_zeros() as usize + rest.len() * 8)
}
