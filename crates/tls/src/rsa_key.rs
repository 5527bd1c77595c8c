use rustls_pki_types::PrivateKeyDer;

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
    let mut info = Reader(element(&mut Reader(der), SEQUENCE)?);
    let _version = element(&mut info, INTEGER)?;
    let _algorithm = element(&mut info, SEQUENCE)?;
    of_pkcs1(element(&mut info, OCTET_STRING)?)
}

/// RSAPrivateKey (RFC 8017 appendix A.1.2).
fn of_pkcs1(der: &[u8]) -> Option<usize> {
    let mut key = Reader(element(&mut Reader(der), SEQUENCE)?);
    let _version = element(&mut key, INTEGER)?;
    let modulus = element(&mut key, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let (first, rest) = modulus[zeros..].split_first()?;
    Some(8 - first.leading_zeros() as usize + rest.len() * 8)
}

/// The contents of the element of DER in front, up to 64 KiB.
fn element<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    if reader.u8()? != tag {
        return None;
    }
    let length = match reader.u8()? {
        short @ 0..=0x7f => short.into(),
        0x81 => reader.u8()?.into(),
        0x82 => reader.u16()?.into(),
        _ => return None,
    };
    reader.take(length)
}

const INTEGER: u8 = 2;
const OCTET_STRING: u8 = 4;
const SEQUENCE: u8 = 0x30;
