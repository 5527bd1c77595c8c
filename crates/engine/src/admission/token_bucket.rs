//! A rate with a burst.

use std::time::{Duration, Instant};

/// So many a second, and as many at once as `burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub per_second: u32,
    /// At least 1.
    pub burst: u32,
}

/// A bucket of `burst` tokens that fills with `per_second`, kept as the time at which it is full
/// (the generic cell rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    rate: Rate,
    full_at: Option<Instant>,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: None }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let token = Duration::from_secs(1) / self.rate.per_second.max(1);
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + token;
        let fits = full_at.duration_since(now) <= token * self.rate.burst.max(1);
        if fits {
            self.full_at = Some(full_at);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_burst_at_once_and_the_rate_from_then_on() {
        let mut bucket = TokenBucket::new(Rate { per_second: 10, burst: 3 });
        let start = Instant::now();
        let takes = |bucket: &mut TokenBucket, at: u64| {
            let now = start + Duration::from_millis(at);
            (0..100).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(takes(&mut bucket, 0), 3);
        assert_eq!(takes(&mut bucket, 99), 0);
        assert_eq!(takes(&mut bucket, 100), 1);
        assert_eq!(takes(&mut bucket, 300), 2);
        assert_eq!(takes(&mut bucket, 60_000), 3, "no more than the burst is saved");
    }
}
