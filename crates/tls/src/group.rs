use rustls::NamedGroup;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;

/// A key exchange group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// `X25519MLKEM768`: X25519 with ML-KEM-768, safe against later quantum computers. TLS 1.3.
    X25519MlKem768,
    /// `X25519` (RFC 7748).
    X25519,
    /// `prime256v1`, NIST P-256.
    P256,
    /// `secp384r1`, NIST P-384.
    P384,
}

impl Group {
    /// Every group.
    pub const ALL: &[Self] = &[Self::X25519MlKem768, Self::X25519, Self::P256, Self::P384];

    /// OpenSSL's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "X25519",
            Self::P256 => "prime256v1",
            Self::P384 => "secp384r1",
        }
    }

    pub(crate) fn from_rustls(group: NamedGroup) -> Option<Self> {
        Self::ALL.iter().copied().find(|own| own.to_rustls().name() == group)
    }

    pub(crate) fn to_rustls(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519MlKem768 => kx_group::X25519MLKEM768,
            Self::X25519 => kx_group::X25519,
            Self::P256 => kx_group::SECP256R1,
            Self::P384 => kx_group::SECP384R1,
        }
    }
}
