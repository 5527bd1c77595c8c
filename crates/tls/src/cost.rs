/// What a [`Job`](crate::Job) costs, so that cheap ones need not queue behind dear ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Tens to hundreds of microseconds: resumption, ECDSA, Ed25519, checking a client's chain.
    Light,
    /// An RSA private-key operation: from half a millisecond (2048 bits) to several (4096 bits).
    Heavy,
}
