//! What an open connection waits for besides its two sides.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::Connection;

pub(super) struct Timers<'a> {
    connection: &'a Connection,
    /// Until then session tickets wait for company.
    holds: Option<Pin<Box<Sleep>>>,
    /// Until then it is not idle for too long.
    idles: Option<Pin<Box<Sleep>>>,
}

/// How long session tickets wait for the first answer.
const HOLD: Duration = Duration::from_millis(10);

impl<'a> Timers<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        let holding = connection.with_channel(|channel| channel.is_holding()).unwrap_or(false);
        let holds = holding.then(|| Box::pin(sleep(HOLD)));
        let activity = connection.activity.as_ref();
        let idles = activity.map(|activity| Box::pin(sleep_until(activity.idle_at().into())));
        Self { connection, holds, idles }
    }

    /// Lets go of what waited for too long.
    pub(super) fn poll_hold(&mut self, context: &mut Context<'_>) {
        let Some(sleep) = &mut self.holds else { return };
        let over = sleep.as_mut().poll(context).is_ready();
        let holding = self.connection.with_channel(|channel| {
            if over {
                channel.let_go();
            }
            channel.is_holding()
        });
        if holding != Some(true) {
            self.holds = None;
        }
    }

    /// Ready when nothing has come or gone for too long.
    pub(super) fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (Some(sleep), Some(activity)) = (&mut self.idles, &self.connection.activity) else {
            return Poll::Pending;
        };
        loop {
            ready!(sleep.as_mut().poll(context));
            let idle_at = Instant::from(activity.idle_at());
            if idle_at <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(idle_at);
        }
    }
}
