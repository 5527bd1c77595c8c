use std::{error::Error, fmt};

/// Why a job has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolError {
    /// The pool was shut down before the job started.
    PoolClosed,
    /// The job was lost without an answer. A backstop: no known way leads here.
    TaskDropped,
    /// The job's lane was full, or the system has no thread to run it.
    Overloaded,
    /// The job waited for too long, or would have by the time of its answer.
    DeadlinePassed,
    /// The job waited for longer than its target while its lane was overloaded.
    Shed,
    /// The job panicked, with this message.
    Panicked(String),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::PoolClosed => f.write_str("the pool is closed"),
            PoolError::TaskDropped => f.write_str("the job was dropped without an answer"),
            PoolError::Overloaded => f.write_str("the pool is overloaded"),
            PoolError::DeadlinePassed => f.write_str("the deadline passed before the job started"),
            PoolError::Shed => f.write_str("the pool is overloaded: the job was shed"),
            PoolError::Panicked(message) => write!(f, "the job panicked: {message}"),
        }
    }
}

impl Error for PoolError {}
