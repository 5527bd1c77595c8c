use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::EndEntityCert;

use crate::failure::code_and_alert;
use crate::{Code, ContextError};

/// Whether clients are asked for a certificate (`requestCert`, `rejectUnauthorized`, `ca`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients aren't asked.
    #[default]
    None,
    /// Clients are asked.
    Request {
        /// The certificates that are trusted, as DER. An empty list trusts nobody. Their names
        /// are told to clients as a hint which certificate to send, up to 8 KiB of names; longer
        /// lists, such as all roots of the web, aren't told.
        roots: Vec<CertificateDer<'static>>,
        /// Whether a client without a good certificate is refused in the handshake. Otherwise
        /// it is served, and [`Session::authorized`](crate::Session::authorized) tells.
        reject_unauthorized: bool,
    },
}

/// Checks client certificates against one set of roots.
pub(crate) struct ClientVerifier {
    /// `None` without roots: nothing verifies.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    roots: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
    reject_unauthorized: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientVerifier {
    /// `None` when clients aren't asked.
    pub(crate) fn new(
        auth: ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, ContextError> {
        let ClientAuth::Request { roots, reject_unauthorized } = auth else { return Ok(None) };
        let mut store = RootCertStore::empty();
        for (index, root) in roots.iter().enumerate() {
            store.add(root.clone()).map_err(|error| ContextError::BadCertificate {
                place: format!("root {}", index + 1),
                reason: error.to_string(),
            })?;
        }
        let subjects = hints(store.subjects());
        let webpki = if store.is_empty() {
            None
        } else {
            let builder =
                WebPkiClientVerifier::builder_with_provider(store.into(), Arc::clone(provider));
            Some(builder.build().map_err(|error| ContextError::Internal(error.to_string()))?)
        };
        Ok(Some(Self {
            webpki,
            roots,
            subjects,
            reject_unauthorized,
            provider: Arc::clone(provider),
        }))
    }

    /// SHA-256 over everything that decides whom this verifier lets pass.
    pub(crate) fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[u8::from(self.reject_unauthorized)]);
        for root in &self.roots {
            context.update(digest::digest(&digest::SHA256, root).as_ref());
        }
        context.finish()
    }

    /// Whether the client of a finished handshake is authorized. Verifies what the handshake let
    /// pass unseen: everything if nobody is refused, and the chains of resumed sessions.
    pub(crate) fn outcome(
        &self,
        chain: &[CertificateDer<'static>],
        is_resumed: bool,
    ) -> Result<(), Code> {
        if self.reject_unauthorized && !is_resumed { Ok(()) } else { self.authorize(chain) }
    }

    pub(crate) fn rejects_unauthorized(&self) -> bool {
        self.reject_unauthorized
    }

    fn authorize(&self, chain: &[CertificateDer<'static>]) -> Result<(), Code> {
        match self.verify(chain, UnixTime::now()) {
            Ok(()) => Ok(()),
            Err(error) => Err(reason(&error, chain)),
        }
    }

    /// Whether a session with this chain may be resumed: `true` for those that need none.
    pub(crate) fn accepts_again(&self, chain: &[CertificateDer<'static>]) -> bool {
        !self.reject_unauthorized || self.authorize(chain).is_ok()
    }

    fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let Some(webpki) = &self.webpki else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let Err(error) = webpki.verify_client_cert(leaf, intermediates, now) else {
            return Ok(());
        };
        // `openssl req -x509` makes every certificate a CA, which webpki takes for no client's.
        // OpenSSL trusts one that stands among the roots itself, and asks for the issuer of any
        // other. The dates are good here: webpki checks them first.
        if !is_ca_as_leaf(&error) || !is_self_issued(leaf) {
            Err(error)
        } else if self.roots.iter().any(|root| **root == **leaf) {
            Ok(())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.reject_unauthorized
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    /// Lets every chain pass if the outcome is only recorded: the step that ends the handshake
    /// verifies then, and so each chain is verified once.
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.reject_unauthorized {
            let chain: Vec<_> =
                std::iter::once(leaf).chain(intermediates).map(|der| der.as_ref().into()).collect();
            let verified = self.verify(&chain, now);
            REFUSAL.set(verified.as_ref().err().map(|error| reason(error, &chain)));
            verified?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier")
            .field("roots", &self.roots.len())
            .field("reject_unauthorized", &self.reject_unauthorized)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// Why the last chain was refused on this thread. rustls gives the error back to the caller of
    /// the same call, but nobody the chain, and takes no error of ours without changing the alert.
    static REFUSAL: Cell<Option<Code>> = const { Cell::new(None) };
}

/// The reason for the error that rustls has just given, if a verifier refused a chain.
pub(crate) fn take_refusal(error: &Error) -> Option<Code> {
    REFUSAL.take().filter(|_| matches!(error, Error::InvalidCertificate(_)))
}

/// The names for the CertificateRequest: all or none.
fn hints(subjects: Vec<DistinguishedName>) -> Vec<DistinguishedName> {
    const LIMIT: usize = 8 * 1024;
    let length: usize = subjects.iter().map(|subject| subject.as_ref().len() + 2).sum();
    if length <= LIMIT { subjects } else { Vec::new() }
}

/// OpenSSL's name for why a chain doesn't verify.
fn reason(error: &Error, chain: &[CertificateDer<'_>]) -> Code {
    match error {
        Error::NoCertificatesPresented => Code::UnableToGetIssuerCert,
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => unknown_issuer(chain),
        error => code_and_alert(error).0,
    }
}

fn unknown_issuer(chain: &[CertificateDer<'_>]) -> Code {
    match chain {
        [leaf] if is_self_issued(leaf) => Code::DepthZeroSelfSignedCert,
        [_] => Code::UnableToVerifyLeafSignature,
        [.., last] if is_self_issued(last) => Code::SelfSignedCertInChain,
        _ => Code::UnableToGetIssuerCertLocally,
    }
}

fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

fn is_ca_as_leaf(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error else {
        return false;
    };
    matches!(inner.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn verifier(roots: Vec<CertificateDer<'static>>, reject_unauthorized: bool) -> ClientVerifier {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let auth = ClientAuth::Request { roots, reject_unauthorized };
        ClientVerifier::new(auth, &provider).unwrap().unwrap()
    }

    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_session_whose_certificate_has_expired_is_not_resumed_where_it_would_be_refused() {
        let good = self_signed(|_| {});
        let expired = self_signed(|params| params.not_after = date_time_ymd(2001, 1, 1));
        let roots = vec![good.clone(), expired.clone()];
        assert!(verifier(roots.clone(), true).accepts_again(std::slice::from_ref(&good)));
        assert!(!verifier(roots.clone(), true).accepts_again(std::slice::from_ref(&expired)));
        assert!(!verifier(roots.clone(), true).accepts_again(&[]));
        assert!(verifier(roots, false).accepts_again(&[expired]));
    }

    #[test]
    fn the_digest_tells_roots_and_strictness_apart() {
        let (one, other) = (self_signed(|_| {}), self_signed(|_| {}));
        let digest = |roots, reject| verifier(roots, reject).digest().as_ref().to_vec();
        let first = digest(vec![one.clone()], true);
        assert_eq!(first, digest(vec![one.clone()], true));
        assert_ne!(first, digest(vec![one.clone()], false));
        assert_ne!(first, digest(vec![other.clone()], true));
        assert_ne!(first, digest(vec![one, other], true));
    }

    #[test]
    fn only_short_lists_of_names_are_told_to_clients() {
        let name = |length: usize| DistinguishedName::in_sequence(&vec![0; length]);
        assert_eq!(hints(vec![name(100); 78]).len(), 78);
        assert!(hints(vec![name(100); 90]).is_empty());
    }
}
