/// Which of the pool's queues a job waits in, by its cost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// The dearest jobs: signatures with an RSA key above 2048 bits, 1 to 5 ms.
    LargeRsa,
    /// Dear jobs: signatures with an RSA key of 2048 bits, a third of a millisecond.
    Rsa,
    /// Cheap jobs: ECDSA, EdDSA and the rest, 50 to 300 us.
    Other,
}

impl Lane {
    /// All lanes, the dearest one first.
    pub const ALL: [Lane; 3] = [Lane::LargeRsa, Lane::Rsa, Lane::Other];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
