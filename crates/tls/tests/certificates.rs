//! Certificates and keys made for the tests, once a process.

use std::sync::LazyLock;

use offloop_tls::{CertificateDer, Identity, PrivateKeyDer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, RsaKeySize, SignatureAlgorithm, date_time_ymd,
};

/// A key algorithm of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 6] =
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::P256, Self::P384, Self::Ed25519];
}

/// The server's certificate for `localhost`, signed by [`authority`].
pub(crate) fn server(algorithm: Algorithm) -> Identity {
    static SERVERS: LazyLock<[Made; 6]> = LazyLock::new(|| {
        Algorithm::ALL.map(|algorithm| {
            let names = ["localhost", "one.example", "two.example"];
            issue(authority(), names.map(str::to_owned).to_vec(), algorithm, |_| {})
        })
    });
    SERVERS[algorithm as usize].identity()
}

/// A client's certificate, signed by [`authority`].
pub(crate) fn client() -> Identity {
    static CLIENT: LazyLock<Made> = LazyLock::new(|| client_of(authority(), |_| {}));
    CLIENT.identity()
}

/// A client's certificate with this serial number.
pub(crate) fn client_with_serial(number: u64) -> Identity {
    client_of(authority(), |params| params.serial_number = Some(number.into())).identity()
}

/// A client's certificate that expired long ago.
pub(crate) fn expired_client() -> Identity {
    client_of(authority(), |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    })
    .identity()
}

/// A client's certificate that is valid much later.
pub(crate) fn future_client() -> Identity {
    client_of(authority(), |params| params.not_before = date_time_ymd(2200, 1, 1)).identity()
}

/// A certificate of [`authority`] that is made for servers only.
pub(crate) fn client_with_server_purpose() -> Identity {
    client_of(authority(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    })
    .identity()
}

/// A certificate of [`authority`] with so many purposes that aren't a client's.
pub(crate) fn client_with_purposes(count: u64) -> Identity {
    client_of(authority(), |params| {
        let purpose = |number| ExtendedKeyUsagePurpose::Other(vec![1, 2, 3, number]);
        params.extended_key_usages = (0..count).map(purpose).collect();
    })
    .identity()
}

/// A client's certificate of an authority that nobody trusts, alone.
pub(crate) fn stranger() -> Identity {
    client_of(&other_authority(), |_| {}).identity()
}

/// The same with its authority's certificate in the chain.
pub(crate) fn stranger_with_root() -> Identity {
    let authority = other_authority();
    let mut identity = client_of(&authority, |_| {}).identity();
    identity.chain.push(authority.der().clone());
    identity
}

/// The same with a certificate in the chain that isn't its authority's.
pub(crate) fn stranger_behind_another() -> Identity {
    let mut identity = stranger();
    identity.chain.extend(stranger().chain);
    identity
}

/// A client's certificate that signed itself, CA or not.
pub(crate) fn self_signed_client(is_ca: IsCa) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = name("self-signed client");
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).unwrap();
    made(certificate.der().clone(), &key).identity()
}

/// The root that clients and servers trust.
pub(crate) fn authority() -> &'static CertifiedIssuer<'static, KeyPair> {
    static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> =
        LazyLock::new(|| new_authority(ROOT));
    &AUTHORITY
}

/// An authority that has the name of [`authority`], but not its key.
pub(crate) fn impostor() -> CertifiedIssuer<'static, KeyPair> {
    new_authority(ROOT)
}

pub(crate) fn other_authority() -> CertifiedIssuer<'static, KeyPair> {
    new_authority("some other root")
}

const ROOT: &str = "offloop test root";

struct Made {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Made {
    fn identity(&self) -> Identity {
        Identity { chain: vec![self.certificate.clone()], key: self.key.clone_key().into() }
    }
}

fn new_authority(common_name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = name(common_name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn client_of(
    authority: &CertifiedIssuer<'static, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> Made {
    issue(authority, Vec::new(), Algorithm::P256, |params| {
        params.distinguished_name = name("client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(params);
    })
}

fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: Vec<String>,
    algorithm: Algorithm,
    change: impl FnOnce(&mut CertificateParams),
) -> Made {
    let key = key(algorithm);
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, authority).unwrap();
    made(certificate.der().clone(), &key)
}

fn key(algorithm: Algorithm) -> KeyPair {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
    let other = |algorithm: &'static SignatureAlgorithm| KeyPair::generate_for(algorithm);
    match algorithm {
        Algorithm::Rsa2048 => rsa(RsaKeySize::_2048),
        Algorithm::Rsa3072 => rsa(RsaKeySize::_3072),
        Algorithm::Rsa4096 => rsa(RsaKeySize::_4096),
        Algorithm::P256 => other(&rcgen::PKCS_ECDSA_P256_SHA256),
        Algorithm::P384 => other(&rcgen::PKCS_ECDSA_P384_SHA384),
        Algorithm::Ed25519 => other(&rcgen::PKCS_ED25519),
    }
    .unwrap()
}

fn made(certificate: CertificateDer<'static>, key: &KeyPair) -> Made {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Made { certificate, key }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
