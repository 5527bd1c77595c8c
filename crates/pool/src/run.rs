use crate::{Lane, PoolError, backlog::Backlog, queue::Ticket};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// The answer of a job, as a future for any runtime. Dropping it cancels a job that has not
/// started; one that runs ends unheard. Must not be polled again once it is ready.
#[must_use = "dropping it cancels the job"]
pub struct Run<T> {
    answer: oneshot::Receiver<Result<T, PoolError>>,
    place: Option<Place>,
}

/// Where the job waits, until it is known to wait no more.
struct Place {
    backlog: Arc<Backlog>,
    lane: Lane,
    ticket: Ticket,
}

impl<T> Run<T> {
    pub(crate) fn new(
        answer: oneshot::Receiver<Result<T, PoolError>>,
        backlog: &Arc<Backlog>,
        lane: Lane,
        ticket: Option<Ticket>,
    ) -> Run<T> {
        let place = ticket.map(|ticket| Place { backlog: Arc::clone(backlog), lane, ticket });
        Run { answer, place }
    }
}

impl<T> Future for Run<T> {
    type Output = Result<T, PoolError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| {
            self.place = None;
            answer.unwrap_or(Err(PoolError::TaskDropped))
        })
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.backlog.cancel(place.lane, place.ticket);
        }
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}
