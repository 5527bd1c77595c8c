/// What a [`Job`](crate::Job) costs, so that cheap ones need not queue behind dear ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Tens to hundreds of microseconds: resumption, ECDSA, Ed25519, checking a client's chain.
    Light,
    /// A signature with an RSA key of 2048 bits: a third of a millisecond.
    Heavy,
    /// A signature with a larger RSA key: from one millisecond to several (4096 bits).
    Heaviest,
}
