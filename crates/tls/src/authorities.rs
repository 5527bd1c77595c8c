use aws_lc_rs::digest;
use rustls::DistinguishedName;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, CertificateRevocationListDer, InvalidSignature,
    SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptionsBuilder, VerifiedPath, anchor_from_trusted_cert,
};

use crate::certificate::Certificate;
use crate::refusal::Refusal;
use crate::{Code, ContextError};

/// The certificates that a server has to verify its clients': webpki finds the chain, and what
/// OpenSSL demands beyond webpki is checked on it.
pub(crate) struct Authorities {
    /// Where chains may end, each with the certificate of the same place in `anchors`.
    trusted: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    /// Those that are no anchors: a chain may lead over them.
    others: Vec<CertificateDer<'static>>,
    /// Whether any certificate is an anchor, not only those that signed themselves.
    partial_chain: bool,
    crls: Vec<CertRevocationList<'static>>,
    /// Of each revocation list.
    crl_digests: Vec<digest::Digest>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Authorities {
    pub(crate) fn new(
        certificates: Vec<CertificateDer<'static>>,
        partial_chain: bool,
        crls: &[CertificateRevocationListDer<'static>],
        provider: &CryptoProvider,
    ) -> Result<Self, ContextError> {
        let mut authorities = Self {
            trusted: Vec::new(),
            anchors: Vec::new(),
            others: Vec::new(),
            partial_chain,
            crls: crls.iter().map(read_crl).collect::<Result<_, _>>()?,
            crl_digests: crls.iter().map(|crl| sha256(crl)).collect(),
            algorithms: provider.signature_verification_algorithms,
        };
        for (index, certificate) in certificates.into_iter().enumerate() {
            authorities.add(certificate).map_err(|error| ContextError::BadCertificate {
                place: format!("root {}", index + 1),
                reason: error.to_string(),
            })?;
        }
        Ok(authorities)
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), Error> {
        let anchor = anchor_from_trusted_cert(&certificate)?.to_owned();
        let is_self_signed = read(&certificate)?.is_self_signed();
        if self.partial_chain || is_self_signed {
            self.anchors.push(anchor);
            self.trusted.push(certificate);
        } else {
            self.others.push(certificate);
        }
        Ok(())
    }

    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        self.all()
            .filter_map(|certificate| Certificate::read(certificate))
            .map(|certificate| DistinguishedName::in_sequence(certificate.subject()))
            .collect()
    }

    /// Puts everything that decides about chains into a digest.
    pub(crate) fn digest(&self, context: &mut digest::Context) {
        context.update(&[u8::from(self.partial_chain)]);
        for certificate in self.all() {
            context.update(sha256(certificate).as_ref());
        }
        context.update(b"revoked");
        for crl in &self.crl_digests {
            context.update(crl.as_ref());
        }
    }

    /// Verifies a client's chain, its own certificate first.
    pub(crate) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (leaf, presented) = chain.split_first().ok_or(Refusal(Code::UnableToGetIssuerCert))?;
        let client = Certificate::read(leaf).ok_or(Refusal(Code::Unspecified))?;
        let result = if self.partial_chain && self.trusted.iter().any(|each| **each == **leaf) {
            self.verify_trusted(&client, now)
        } else {
            self.verify_path(leaf, &client, presented, now)
        };
        let code = match result {
            Ok(()) if client.may_be_client() => return Ok(()),
            Ok(()) => Code::InvalidPurpose,
            // webpki tries every issuer of a name, OpenSSL none whose key has another identifier.
            Err(error @ (Error::UnknownIssuer | Error::InvalidSignatureForPublicKey)) => {
                self.why_unknown(&client, presented).unwrap_or_else(|| code(&error))
            }
            Err(error) => code(&error),
        };
        Err(Refusal(code))
    }

    fn verify_path(
        &self,
        leaf: &CertificateDer<'_>,
        client: &Certificate<'_>,
        presented: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let plain = client.as_plain_client().map(CertificateDer::from);
        let framed = plain.as_ref().map(read).transpose()?.map(|framed| framed.signed);
        let algorithms = self.algorithms.all.iter();
        let algorithms: Vec<_> = algorithms
            .map(|&algorithm| AsSigned { algorithm, framed, signed: client.signed })
            .collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            algorithms.iter().map(|algorithm| algorithm as _).collect();
        // Those that webpki can't read must not hide why there is no chain.
        let helpers: Vec<CertificateDer<'_>> = presented
            .iter()
            .chain(&self.others)
            .filter(|der| EndEntityCert::try_from(*der).is_ok())
            .map(|der| der.as_ref().into())
            .collect();
        let crls: Vec<_> = self.crls.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&crls)
            .ok()
            .map(|options| options.with_expiration_policy(ExpirationPolicy::Enforce).build());
        let check = |path: &VerifiedPath<'_>| self.check_authorities(leaf, path, now);
        EndEntityCert::try_from(plain.as_ref().unwrap_or(leaf))?
            .verify_for_usage(
                &algorithms,
                &self.anchors,
                &helpers,
                now,
                KeyUsage::client_auth(),
                revocation,
                Some(&check),
            )
            .map(|_| ())
    }

    /// What OpenSSL checks of the issuers in a chain and webpki doesn't.
    fn check_authorities(
        &self,
        leaf: &CertificateDer<'_>,
        path: &VerifiedPath<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut length = 0;
        for intermediate in path.intermediate_certificates() {
            may_issue(&read(&intermediate.der())?)?;
            length += 1;
        }
        // Several may have one name and key: old and renewed ones.
        let candidates = self.trusted.iter().zip(&self.anchors);
        let mut result = Err(Error::UnknownIssuer);
        for (certificate, _) in candidates.filter(|(_, anchor)| *anchor == path.anchor()) {
            result = if length == 0 && **certificate == **leaf {
                // It stands for itself, and was checked as a client's.
                Ok(())
            } else {
                check_anchor(&read(certificate)?, length, now)
            };
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// A client's certificate that is an anchor without having signed itself.
    fn verify_trusted(&self, client: &Certificate<'_>, now: UnixTime) -> Result<(), Error> {
        check_dates(client, now)?;
        // There is no issuer whose list could be looked at.
        if self.crls.is_empty() { Ok(()) } else { Err(Error::UnknownRevocationStatus) }
    }

    /// OpenSSL's name for where the chain ends before an anchor; `None` if its names and key
    /// identifiers lead to one.
    fn why_unknown(
        &self,
        client: &Certificate<'_>,
        presented: &[CertificateDer<'_>],
    ) -> Option<Code> {
        let mut end = *client;
        let mut trusts_end = false;
        // Names may go in circles; webpki gives up after six authorities.
        for length in 0..8 {
            if end.is_self_signed() {
                return Some(match length {
                    0 => Code::DepthZeroSelfSignedCert,
                    _ => Code::SelfSignedCertInChain,
                });
            }
            if issuer_of(&end, &self.trusted).is_some() {
                return None;
            }
            let issuer = match issuer_of(&end, &self.others) {
                Some(issuer) => {
                    trusts_end = true;
                    Some(issuer)
                }
                None if trusts_end => return Some(Code::UnableToGetIssuerCert),
                None => issuer_of(&end, presented),
            };
            end = match issuer {
                Some(issuer) => issuer,
                None if length == 0 => return Some(Code::UnableToVerifyLeafSignature),
                None => break,
            };
        }
        Some(Code::UnableToGetIssuerCertLocally)
    }

    fn all(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.trusted.iter().chain(&self.others)
    }
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Result<Certificate<'a>, Error> {
    Certificate::read(der).ok_or(Error::BadDer)
}

fn read_crl(
    crl: &CertificateRevocationListDer<'static>,
) -> Result<CertRevocationList<'static>, ContextError> {
    let crl = OwnedCertRevocationList::from_der(crl);
    crl.map(CertRevocationList::from)
        .map_err(|error| ContextError::BadCrl { reason: error.to_string() })
}

/// The one of these that a certificate names as its issuer.
fn issuer_of<'a>(
    certificate: &Certificate<'_>,
    candidates: &'a [CertificateDer<'_>],
) -> Option<Certificate<'a>> {
    let mut candidates = candidates.iter().filter_map(|der| Certificate::read(der));
    candidates.find(|candidate| certificate.names_as_issuer(candidate))
}

fn may_issue(issuer: &Certificate<'_>) -> Result<(), Error> {
    if issuer.may_issue_clients() { Ok(()) } else { Err(Error::EndEntityUsedAsCa) }
}

fn check_anchor(anchor: &Certificate<'_>, length: usize, now: UnixTime) -> Result<(), Error> {
    check_dates(anchor, now)?;
    may_issue(anchor)?;
    match anchor.path_length() {
        Some(limit) if length > limit => Err(Error::PathLenConstraintViolated),
        _ => Ok(()),
    }
}

fn check_dates(certificate: &Certificate<'_>, time: UnixTime) -> Result<(), Error> {
    let (not_before, not_after) = certificate.validity().ok_or(Error::BadDerTime)?;
    if time > not_after {
        Err(Error::CertExpired { time, not_after })
    } else if time < not_before {
        Err(Error::CertNotValidYet { time, not_before })
    } else {
        Ok(())
    }
}

/// What OpenSSL calls the error of a chain whose names lead to an anchor.
fn code(error: &Error) -> Code {
    match error {
        Error::CertExpired { .. } | Error::InvalidCertValidity => Code::CertHasExpired,
        Error::CertNotValidYet { .. } => Code::CertNotYetValid,
        Error::CertRevoked => Code::CertRevoked,
        Error::UnknownRevocationStatus => Code::UnableToGetCrl,
        Error::CrlExpired { .. } => Code::CrlHasExpired,
        Error::InvalidCrlSignatureForPublicKey => Code::CrlSignatureFailure,
        Error::InvalidSignatureForPublicKey => Code::CertSignatureFailure,
        Error::PathLenConstraintViolated => Code::PathLengthExceeded,
        // The chain leads over a certificate that webpki takes for no authority's.
        Error::UnknownIssuer
        | Error::EndEntityUsedAsCa
        | Error::EmptyEkuExtension
        | Error::RequiredEkuNotFoundContext(_) => Code::InvalidPurpose,
        _ => Code::Unspecified,
    }
}

fn sha256(der: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, der)
}

/// A signature algorithm that verifies a client's certificate over the bytes that were signed, when
/// webpki is given it in another [frame](Certificate::as_plain_client).
#[derive(Debug)]
struct AsSigned<'a> {
    algorithm: &'a dyn SignatureVerificationAlgorithm,
    /// What webpki takes for the signed bytes.
    framed: Option<&'a [u8]>,
    signed: &'a [u8],
}

impl SignatureVerificationAlgorithm for AsSigned<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let message = if self.framed == Some(message) { self.signed } else { message };
        self.algorithm.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
