//! A key share that all connections of the client use.

use std::io;
use std::sync::Arc;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// X25519 with one private key for the life of the process.
///
/// Making a key is a fifth of the client's work for a handshake, and no work of the server's.
#[derive(Clone, Debug)]
pub struct KeptX25519 {
    private: Arc<PrivateKey>,
    public: Vec<u8>,
}

impl KeptX25519 {
    /// A new key; rustls wants groups that live as long as the process.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn leaked() -> io::Result<&'static dyn SupportedKxGroup> {
        let failed = |_| io::Error::other("no X25519 key could be made");
        let private = PrivateKey::generate(&X25519).map_err(failed)?;
        let public = private.compute_public_key().map_err(failed)?.as_ref().to_vec();
        Ok(Box::leak(Box::new(Self { private: Arc::new(private), public })))
    }
}

impl SupportedKxGroup for KeptX25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveKeyExchange for KeptX25519 {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        let peer = UnparsedPublicKey::new(&X25519, peer_pub_key);
        let invalid = Error::from(PeerMisbehaved::InvalidKeyShare);
        agree(&self.private, peer, invalid, |secret| Ok(SharedSecret::from(secret)))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
