use rustls::SignatureAlgorithm;

/// The kind of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// On a NIST curve.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// Every type.
    pub const ALL: &[Self] = &[Self::Rsa, Self::Ecdsa, Self::Ed25519];

    /// For example `ecdsa`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
            Self::Ed25519 => "ed25519",
        }
    }

    pub(crate) fn from_rustls(algorithm: SignatureAlgorithm) -> Option<Self> {
        match algorithm {
            SignatureAlgorithm::RSA => Some(Self::Rsa),
            SignatureAlgorithm::ECDSA => Some(Self::Ecdsa),
            SignatureAlgorithm::ED25519 => Some(Self::Ed25519),
            _ => None,
        }
    }
}
