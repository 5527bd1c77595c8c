/// Which of the pool's queues a job waits in, by its cost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Dear jobs: signatures with an RSA key, 0.5 to 5 ms.
    Rsa,
    /// Cheap jobs: ECDSA, EdDSA and the rest, 50 to 300 us.
    Other,
}

impl Lane {
    /// All lanes, the dear one first.
    pub const ALL: [Lane; 2] = [Lane::Rsa, Lane::Other];

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}
