use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac, rand};
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

/// One key. What it seals is `name | nonce | AES-256-GCM-SIV(issued | session)`, with the context's
/// digest as additional data. SIV, because nonces are random and a key seals many tickets.
pub(crate) struct TicketKey {
    pub(crate) name: KeyName,
    key: LessSafeKey,
}

/// Seconds since 1970.
pub(crate) type Seconds = u64;
pub(crate) type KeyName = [u8; 16];
/// A name and the secret that the key is derived from.
pub(crate) type KeyBytes = Zeroizing<[u8; 48]>;

impl TicketKey {
    /// The key of these bytes, the same in every process.
    pub(crate) fn new(bytes: &KeyBytes) -> Option<Self> {
        let (name, secret) = bytes.split_first_chunk::<16>()?;
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"offloop ticket key");
        Self::expand(*name, &salt.extract(secret))
    }

    /// Bytes for a new key; `None` if the system gives none.
    pub(crate) fn random_bytes() -> Option<KeyBytes> {
        let mut bytes = Zeroizing::new([0; 48]);
        rand::fill(&mut *bytes).ok()?;
        Some(bytes)
    }

    /// A key that whoever has these private keys can derive, and nobody else.
    pub(crate) fn of_private_keys<'a>(
        keys: impl Iterator<Item = &'a PrivateKeyDer<'static>>,
    ) -> Option<Self> {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"offloop stored sessions");
        // HKDF's extraction is an HMAC; this way no copy of the private keys is made.
        let mut extraction = hmac::Context::with_key(&salt);
        for key in keys {
            extraction.update(key.secret_der());
        }
        let secret = extraction.sign();
        let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret.as_ref());
        let mut name = KeyName::default();
        secret.expand(&[b"name"], NameLength).ok()?.fill(&mut name).ok()?;
        Self::expand(name, &secret)
    }

    fn expand(name: KeyName, secret: &hkdf::Prk) -> Option<Self> {
        let key = secret.expand(&[b"aes-256-gcm-siv"], &AES_256_GCM_SIV).ok()?;
        Some(Self { name, key: LessSafeKey::new(UnboundKey::from(key)) })
    }

    pub(crate) fn seal(
        &self,
        session: &[u8],
        digest: &[u8; 32],
        issued: Seconds,
    ) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(OVERHEAD + session.len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&issued.to_be_bytes());
        ticket.extend_from_slice(session);
        let plain = &mut ticket[self.name.len() + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(digest), plain).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    /// Opens what [`seal`](Self::seal) gave, without the name.
    pub(crate) fn open(&self, sealed: &[u8], digest: &[u8; 32]) -> Option<(Seconds, Vec<u8>)> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(digest), &mut buffer).ok()?;
        let (issued, session) = plain.split_first_chunk()?;
        Some((Seconds::from_be_bytes(*issued), session.to_vec()))
    }
}

struct NameLength;

impl hkdf::KeyType for NameLength {
    fn len(&self) -> usize {
        size_of::<KeyName>()
    }
}

/// Name, nonce, time and tag.
const OVERHEAD: usize = 16 + NONCE_LEN + 8 + 16;
