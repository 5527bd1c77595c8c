//! The bell: one threadsafe function that carries nothing.

use std::sync::Arc;

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status, sys};
use offloop_engine::Doorbell;

/// Callee not error-first, starting weak (it does not keep the event loop alive), unbounded queue:
/// the host coalesces rings, so at most one waits.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 0>;

#[derive(Clone)]
pub(crate) struct NodeDoorbell(Arc<Bell>);

impl NodeDoorbell {
    pub(crate) fn new(callback: &Function<'_, (), ()>) -> napi::Result<Self> {
        let bell = callback.build_threadsafe_function::<()>().weak::<true>().build()?;
        Ok(Self(Arc::new(bell)))
    }

    /// The bell keeps the event loop alive.
    pub(crate) fn refer(&self, env: &Env) {
        // SAFETY: called on the environment's own thread with its own function, which lives as
        // long as `self`. Test: a listening server keeps the process alive.
        unsafe { sys::napi_ref_threadsafe_function(env.raw(), self.0.raw()) };
    }

    /// The bell does not keep the event loop alive.
    pub(crate) fn unref(&self, env: &Env) {
        // SAFETY: as in `refer`. Test: an unref'ed server does not keep the process alive.
        unsafe { sys::napi_unref_threadsafe_function(env.raw(), self.0.raw()) };
    }
}

impl Doorbell for NodeDoorbell {
    fn ring(&self) {
        // A closing environment takes no rings any more: nobody is left to drain.
        let _: Status = self.0.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
