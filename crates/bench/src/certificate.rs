//! Certificates for a run: a CA of its own and a leaf for this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize,
};
use serde_json::json;

use crate::report;

/// What `cert` makes.
#[derive(Args)]
pub struct CertificateOptions {
    /// Kind of the leaf's and the CA's key.
    #[arg(long, value_enum, default_value_t = KeyKind::P256)]
    key: KeyKind,
    /// Folder for ca.pem, cert.pem, key.pem (PKCS #8); made when missing.
    #[arg(long)]
    out: PathBuf,
    /// Names and addresses of the leaf.
    #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1,::1")]
    names: Vec<String>,
}

/// Kinds of keys.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "lower")]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

/// Makes a CA and a leaf, writes them and prints where.
///
/// # Errors
/// When a name is no DNS name or the folder can't be written.
pub fn make(options: &CertificateOptions) -> io::Result<()> {
    let (ca, certificate, key) = issue(options).map_err(io::Error::other)?;
    fs::create_dir_all(&options.out)?;
    let write = |name: &str, text: &str| -> io::Result<PathBuf> {
        let path = options.out.join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let ca = write("ca.pem", &ca)?;
    let certificate = write("cert.pem", &certificate)?;
    let key = write("key.pem", &key)?;
    restrict(&key)?;
    report::line(&json!({ "event": "end", "ca": ca, "cert": certificate, "key": key }))
}

fn issue(options: &CertificateOptions) -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "offloop bench CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = options.key.generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut leaf = CertificateParams::new(options.names.clone())?;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = options.key.generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok((authority_certificate.pem(), certificate.pem(), key.serialize_pem()))
}

impl KeyKind {
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa3072 => rsa(RsaKeySize::_3072),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        }
    }
}

#[cfg(unix)]
fn restrict(key: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(key, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_key: &Path) -> io::Result<()> {
    Ok(())
}
