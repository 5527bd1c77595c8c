use crate::backlog::Backlog;
use std::time::Instant;

/// Does jobs until none is left; what one thread of the crew is sent for.
pub(crate) fn drain(backlog: &Backlog) {
    if !backlog.drainer_came() {
        return;
    }
    while let Some((lane, mut job)) = backlog.next() {
        let start = Instant::now();
        let outcome = job.work();
        // Booked before the answer is out, so that whoever has the answer finds it in the books,
        // and a next job that follows on it is not taken for one more than this drainer can do.
        backlog.ended(lane, outcome, start.elapsed());
        job.answer();
    }
}
