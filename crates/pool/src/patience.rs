use std::time::{Duration, Instant};

/// How long a job may wait. Default: forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// The job does not start when it could not be answered by then, as far as is known of how long
    /// jobs of its lane take. `None`: it may wait forever.
    pub deadline: Option<Instant>,
    /// The job does not start when it has waited for longer. `None`: whatever its deadline leaves.
    pub age: Option<Duration>,
    /// A job that has waited for longer is shed when its lane is overloaded: see
    /// [`PoolOptions::tolerance`](crate::PoolOptions::tolerance). `None`: it is never shed.
    pub target: Option<Duration>,
}

impl From<Option<Instant>> for Patience {
    /// With this deadline alone.
    fn from(deadline: Option<Instant>) -> Self {
        Patience { deadline, ..Patience::default() }
    }
}
