#![forbid(unsafe_code)]
//! Certificates for development: an authority, and what it issues to servers. Text goes in and
//! comes out; where it is kept is the caller's affair.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

/// Why a certificate could not be made.
pub use rcgen::Error;

/// A certificate with its key, PEM.
pub struct Issued {
    /// The certificate alone.
    pub certificate: String,
    /// PKCS#8.
    pub key: String,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256, signed with SHA-256.
    P256,
    /// RSA of 2,048 bits, signed with SHA-256.
    Rsa,
}

/// The times that a certificate is valid between, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The first second.
    pub from: i64,
    /// The last one.
    pub until: i64,
}

/// Makes an authority that issues certificates of servers, and of no other authority.
///
/// # Errors
/// [`Error::Time`] for a time that no certificate can hold.
pub fn authority(name: &str, key_type: KeyType, validity: Validity) -> Result<Issued, Error> {
    let mut params = parameters(&[], name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = generate(key_type)?;
    Ok(Issued { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Makes the certificate of a server with these names and IP addresses. The authority is believed
/// to be one, and its key to be its own.
///
/// # Errors
/// For an authority that can't be read, and a name that is not ASCII.
pub fn issue(
    authority: &Issued,
    names: &[String],
    key_type: KeyType,
    validity: Validity,
) -> Result<Issued, Error> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    // A common name has 64 characters at most (RFC 5280, appendix A.1); clients read the others.
    let common_name = names.iter().find(|name| name.len() <= 64);
    let mut params = parameters(names, common_name.map_or("server", String::as_str), validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = generate(key_type)?;
    Ok(Issued { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

fn parameters(
    names: &[String],
    common_name: &str,
    Validity { from, until }: Validity,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names)?;
    let time = |seconds| {
        OffsetDateTime::UNIX_EPOCH
            .checked_add(Duration::seconds(seconds))
            .filter(|time| (1950..=9999).contains(&time.year()))
            .ok_or(Error::Time)
    };
    params.not_before = time(from)?;
    params.not_after = time(until)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "offloop development certificate");
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn generate(key_type: KeyType) -> Result<KeyPair, Error> {
    match key_type {
        KeyType::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyType::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Validity = Validity { from: 1_700_000_000, until: 1_700_086_400 };

    #[test]
    fn what_is_issued_names_its_authority() {
        for key_type in [KeyType::P256, KeyType::Rsa] {
            let authority = authority("Test CA", key_type, DAY).unwrap();
            let names = ["a.test".to_owned(), "::1".to_owned()];
            let issued = issue(&authority, &names, key_type, DAY).unwrap();
            let key = KeyPair::from_pem(&issued.key).unwrap();
            // As an authority of its own it could be read: it is a certificate with this key.
            Issuer::from_ca_cert_pem(&issued.certificate, key).unwrap();
        }
    }

    #[test]
    fn what_no_certificate_can_hold_is_an_error() {
        let late = Validity { from: 0, until: i64::MAX };
        assert!(matches!(authority("Test CA", KeyType::P256, late), Err(Error::Time)));
        let authority = authority("Test CA", KeyType::P256, DAY).unwrap();
        let issue = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            issue(&authority, &names, KeyType::P256, DAY)
        };
        assert!(issue(&["bücher.test"]).is_err());
        assert!(issue(&[&"a".repeat(65)]).is_ok());
    }

    #[test]
    fn an_authority_that_is_none_is_an_error() {
        let authority = Issued { certificate: "garbage".into(), key: "garbage".into() };
        assert!(issue(&authority, &[], KeyType::P256, DAY).is_err());
    }
}
