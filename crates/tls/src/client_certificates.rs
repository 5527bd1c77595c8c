use std::cell::Cell;
use std::fmt;

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::authorities::Authorities;
use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::{Code, ContextError, ProtocolVersion, SignatureScheme as OwnScheme, client_signature};

/// Whether clients are asked for a certificate (`requestCert`, `rejectUnauthorized`, `ca`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients aren't asked.
    #[default]
    None,
    /// Clients are asked. Their chains are verified as OpenSSL does at its security level 2: RSA
    /// keys below 2048 bits and SHA-1 verify nothing. Certificates of version 1 are good for
    /// clients and roots.
    Request {
        /// Certificates of authorities, as DER. Those that signed themselves are trusted; others
        /// only help to find the way to these. An empty list trusts nobody. Their names are told
        /// to clients as a hint which certificate to send, up to 8 KiB of names; longer lists,
        /// such as all roots of the web, aren't told.
        roots: Vec<CertificateDer<'static>>,
        /// Whether all of `roots` are trusted, also those that are no roots
        /// (`allowPartialTrustChain`).
        partial_chain: bool,
        /// Whether a client without a good certificate is refused in the handshake. Otherwise
        /// it is served, and [`Session::authorized`](crate::Session::authorized) tells.
        reject_unauthorized: bool,
    },
}

/// Checks client certificates.
pub(crate) struct ClientVerifier {
    authorities: Authorities,
    hints: Vec<DistinguishedName>,
    reject_unauthorized: bool,
    algorithms: WebPkiSupportedAlgorithms,
    schemes: Vec<SignatureScheme>,
}

impl ClientVerifier {
    /// `None` when clients aren't asked. Clients may sign with these `schemes` only.
    pub(crate) fn new(
        auth: ClientAuth,
        crls: &[CertificateRevocationListDer<'static>],
        schemes: &[OwnScheme],
        provider: &CryptoProvider,
    ) -> Result<Option<Self>, ContextError> {
        let ClientAuth::Request { roots, partial_chain, reject_unauthorized } = auth else {
            return Ok(None);
        };
        let authorities = Authorities::new(roots, partial_chain, crls, provider)?;
        let algorithms = provider.signature_verification_algorithms;
        let schemes = schemes.iter().map(|scheme| scheme.to_rustls()).collect();
        let hints = hints(authorities.subjects());
        Ok(Some(Self { authorities, hints, reject_unauthorized, algorithms, schemes }))
    }

    /// SHA-256 over everything that decides whom this verifier lets pass.
    pub(crate) fn digest(&self) -> digest::Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&[u8::from(self.reject_unauthorized)]);
        self.authorities.digest(&mut context);
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
        self.authorities.verify(chain, UnixTime::now()).map_err(|refusal| refusal.0)
    }

    /// Whether a session with this chain may be resumed: `true` for those that need none.
    pub(crate) fn accepts_again(&self, chain: &[CertificateDer<'static>]) -> bool {
        !self.reject_unauthorized || self.authorize(chain).is_ok()
    }

    fn verify_signature(
        &self,
        version: ProtocolVersion,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // rustls leaves it to the verifier to compare with what was asked for.
        if !self.schemes.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        client_signature::verify(version, message, certificate, signature, &self.algorithms)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.reject_unauthorized
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    /// If the outcome is only recorded, lets every chain pass whose first certificate can be read
    /// and in which none is empty: the step that ends the handshake verifies then, and so each
    /// chain is verified once.
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.reject_unauthorized {
            let chain: Vec<_> =
                std::iter::once(leaf).chain(intermediates).map(|der| der.as_ref().into()).collect();
            let refusal = self.authorities.verify(&chain, now).err();
            REFUSAL.set(refusal);
            if let Some(refusal) = refusal {
                return Err(refusal.to_rustls());
            }
        } else if Certificate::read(leaf).is_none()
            || intermediates.iter().any(|certificate| certificate.is_empty())
        {
            return Err(CertificateError::BadEncoding.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(ProtocolVersion::Tls12, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(ProtocolVersion::Tls13, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier")
            .field("reject_unauthorized", &self.reject_unauthorized)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// Why the last chain was refused on this thread. rustls gives its error back to the caller of
    /// the same call, and takes none of ours without changing the alert.
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
}

/// The reason for the error that rustls has just given, if a verifier refused a chain.
pub(crate) fn take_refusal(error: &Error) -> Option<Refusal> {
    REFUSAL.take().filter(|_| matches!(error, Error::InvalidCertificate(_)))
}

/// The names for the CertificateRequest: all or none.
fn hints(subjects: Vec<DistinguishedName>) -> Vec<DistinguishedName> {
    const LIMIT: usize = 8 * 1024;
    let length: usize = subjects.iter().map(|subject| subject.as_ref().len() + 2).sum();
    if length <= LIMIT { subjects } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn verifier(roots: Vec<CertificateDer<'static>>, reject_unauthorized: bool) -> ClientVerifier {
        let auth = ClientAuth::Request { roots, partial_chain: false, reject_unauthorized };
        ClientVerifier::new(auth, &[], OwnScheme::ALL, &aws_lc_rs::default_provider())
            .unwrap()
            .unwrap()
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
