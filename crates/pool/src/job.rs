use crate::{PoolError, books::Outcome};
use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tokio::sync::oneshot;

/// A queued closure, whatever its type. No method unwinds.
pub(crate) trait Job: Send {
    /// Runs the closure and keeps its answer.
    fn work(&mut self) -> Outcome;
    /// Gives the kept answer to the future.
    fn answer(self: Box<Self>);
    /// Drops the closure and gives `error` to the future.
    fn refuse(self: Box<Self>, error: PoolError);
    /// Drops the closure, whose future is being dropped.
    fn cancel(self: Box<Self>);
}

pub(crate) struct Task<T, F> {
    closure: Option<F>,
    result: Option<Result<T, PoolError>>,
    answer: oneshot::Sender<Result<T, PoolError>>,
}

impl<T, F> Task<T, F> {
    pub(crate) fn new(closure: F) -> (Self, oneshot::Receiver<Result<T, PoolError>>) {
        let (answer, receiver) = oneshot::channel();
        let task = Task { closure: Some(closure), result: None, answer };
        (task, receiver)
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    fn work(&mut self) -> Outcome {
        let closure = self.closure.take();
        // The future may have been dropped since this job left the queue.
        if self.answer.is_closed() {
            contain(|| drop(closure));
            return Outcome::Dropped;
        }
        let Some(closure) = closure else {
            return Outcome::Dropped;
        };
        match catch_unwind(AssertUnwindSafe(closure)) {
            Ok(value) => {
                self.result = Some(Ok(value));
                if self.answer.is_closed() { Outcome::Unclaimed } else { Outcome::Done }
            }
            Err(payload) => {
                self.result = Some(Err(PoolError::Panicked(panic_message(payload))));
                Outcome::Panicked
            }
        }
    }

    fn answer(self: Box<Self>) {
        let Task { result, answer, .. } = *self;
        let Some(result) = result else { return };
        // The waker is foreign code, and so is the destructor of an answer that nobody wants.
        contain(|| drop(answer.send(result)));
    }

    fn refuse(self: Box<Self>, error: PoolError) {
        let Task { closure, answer, .. } = *self;
        contain(|| drop(closure));
        contain(|| drop(answer.send(Err(error))));
    }

    fn cancel(self: Box<Self>) {
        contain(|| drop(self));
    }
}

/// The text of a panic.
pub(crate) fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<&'static str>() {
        Ok(text) => return (*text).to_owned(),
        Err(payload) => payload,
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => {
            contain(|| drop(payload));
            "a panic without text".to_owned()
        }
    }
}

fn contain(action: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(action)) {
        // Dropping it could panic again.
        mem::forget(payload);
    }
}
