//! Certificates over several levels, of version 1 too, which rcgen doesn't make.

use offloop_tls::{CertificateDer, Identity, PrivateKeyDer};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SigningKey,
    date_time_ymd,
};

/// A certificate that may sign others, whether it ought to or not.
pub(crate) struct Member {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Member {
    /// One that signed itself; an authority if nothing changes that.
    pub(crate) fn root(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let params = params(name, IsCa::Ca(BasicConstraints::Unconstrained), change);
        Self::new(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Another root of the name with this one's key.
    pub(crate) fn renewed(&self, name: &str) -> Self {
        let key = KeyPair::try_from(self.issuer.key().serialize_der()).unwrap();
        let params = params(name, IsCa::Ca(BasicConstraints::Unconstrained), |_| {});
        Self::new(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// An authority below this one.
    pub(crate) fn authority(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        self.sign(params(name, IsCa::Ca(BasicConstraints::Unconstrained), change))
    }

    /// The certificate of a client.
    pub(crate) fn client(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        self.sign(params("client", IsCa::NoCa, change))
    }

    /// The same of version 1, signed by this issuer or else by itself.
    pub(crate) fn version1(self, issuer: Option<&Self>) -> Self {
        let key = issuer.unwrap_or(&self).issuer.key();
        let certificate = as_version1(&self.certificate, key).into();
        Self { certificate, ..self }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The identity of whoever has this certificate, and sends these others with it.
    pub(crate) fn identity(&self, others: &[&Self]) -> Identity {
        let own = std::iter::once(self).chain(others.iter().copied());
        Identity {
            chain: own.map(Self::certificate).collect(),
            key: PrivateKeyDer::Pkcs8(self.issuer.key().serialize_der().into()).into(),
        }
    }

    fn sign(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(CertifiedIssuer::signed_by(params, key, &self.issuer).unwrap())
    }

    fn new(issuer: CertifiedIssuer<'static, KeyPair>) -> Self {
        let certificate = issuer.der().clone();
        Self { issuer, certificate }
    }
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

fn params(
    name: &str,
    is_ca: IsCa,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    change(&mut params);
    params
}

/// Without a version and extensions, signed anew.
fn as_version1(certificate: &[u8], key: &KeyPair) -> Vec<u8> {
    let (outer, _) = split(certificate);
    let (signed, signature) = split(contents(outer));
    let (_version, mut fields) = split(contents(signed));
    let start = fields;
    for _serial_to_key in 0..6 {
        fields = split(fields).1;
    }
    let signed = element(0x30, &start[..start.len() - fields.len()]);
    let (algorithm, _) = split(signature);
    assert_eq!(key.algorithm(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let signature = element(3, &[&[0], &*key.sign(&signed).unwrap()].concat());
    element(0x30, &[&signed, algorithm, &signature].concat())
}

/// The element of DER in front, and what is behind it.
fn split(der: &[u8]) -> (&[u8], &[u8]) {
    der.split_at(header(der) + length(der))
}

fn contents(element: &[u8]) -> &[u8] {
    &element[header(element)..]
}

fn header(element: &[u8]) -> usize {
    2 + usize::from(element[1].saturating_sub(0x80))
}

fn length(element: &[u8]) -> usize {
    match header(element) {
        2 => element[1].into(),
        header => element[2..header].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    }
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, 0..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &*length, contents].concat()
}
