//! What the pool does, through its public interface.

mod answers;
mod cancel;
mod gate;
mod refusals;
mod shutdown;
mod stress;
mod threads;
