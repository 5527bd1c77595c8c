//! Counters of the process, for JavaScript.

use std::time::Duration;

use napi_derive::napi;
use offloop_engine::Engine;
use offloop_engine::pool::{LaneStats, Times};

use crate::sheds::NativeShedCounts;

/// Counters and gauges of the whole process.
#[napi(object)]
pub struct NativeStats {
    /// Threads that own sockets.
    pub io_threads: u32,
    /// Threads that compute handshakes.
    pub pool_threads: u32,
    /// Connection tasks alive, handshakes included. Gauge.
    pub connections: f64,
    /// Of these, in their handshake. Gauge.
    pub handshaking: f64,
    /// Of these, open. Gauge.
    pub open: f64,
    /// Listening sockets. Gauge.
    pub listeners: f64,
    /// Plaintext received that JavaScript has not taken, in bytes, and 64 for each piece. Gauge.
    pub received_bytes_queued: f64,
    /// Plaintext written that is not in the kernel, in bytes. Gauge.
    pub sent_bytes_queued: f64,
    /// Connections accepted or handed over. Counter.
    pub accepted: f64,
    /// Handshakes that succeeded. Counter.
    pub handshakes_done: f64,
    /// Of these, resumed sessions. Counter.
    pub handshakes_resumed: f64,
    /// Handshakes that failed or timed out. Counter.
    pub handshakes_failed: f64,
    /// Handshake jobs computed in the pool. Counter.
    pub jobs_offloaded: f64,
    /// Handshake jobs computed on an I/O worker. Counter.
    pub jobs_inline: f64,
    /// Errors of accept(2). Counter.
    pub accept_errors: f64,
    /// Connections shed, by reason. Counters.
    pub sheds: NativeShedCounts,
    /// The pool's lane for RSA.
    pub pool_rsa: NativeLane,
    /// The pool's lane for everything else.
    pub pool_other: NativeLane,
}

/// One lane of the handshake pool.
#[napi(object)]
pub struct NativeLane {
    /// Jobs that wait. Gauge.
    pub queued: f64,
    /// Jobs that run. Gauge.
    pub running: f64,
    /// Jobs that were answered. Counter.
    pub done: f64,
    /// Jobs cancelled before they started. Counter.
    pub dropped: f64,
    /// Jobs refused because the queue was full. Counter.
    pub overloaded: f64,
    /// Jobs whose deadline passed unserved. Counter.
    pub deadline_passed: f64,
    /// Jobs shed because they had waited above their target. Counter.
    pub shed: f64,
    /// Jobs that panicked. Counter.
    pub panicked: f64,
    /// Time in the queue, in microseconds.
    pub queued_micros: NativeTimes,
    /// Time computing, in microseconds.
    pub run_micros: NativeTimes,
}

/// A distribution of times, in microseconds.
#[napi(object)]
pub struct NativeTimes {
    /// How many.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// Half were shorter.
    pub p50: f64,
    /// Nine of ten were shorter.
    pub p90: f64,
    /// 99 of 100 were shorter.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl NativeStats {
    pub(crate) fn of(engine: &Engine) -> Self {
        let stats = engine.stats();
        let pool = engine.pool_stats();
        Self {
            io_threads: u32::try_from(engine.io_threads()).unwrap_or(u32::MAX),
            pool_threads: u32::try_from(engine.pool_threads()).unwrap_or(u32::MAX),
            connections: gauge(stats.connections),
            handshaking: gauge(stats.handshaking),
            open: gauge(stats.open),
            listeners: gauge(stats.listeners),
            received_bytes_queued: gauge(stats.received_bytes_queued),
            sent_bytes_queued: gauge(stats.sent_bytes_queued),
            accepted: counter(stats.accepted),
            handshakes_done: counter(stats.handshakes_done),
            handshakes_resumed: counter(stats.handshakes_resumed),
            handshakes_failed: counter(stats.handshakes_failed),
            jobs_offloaded: counter(stats.jobs_offloaded),
            jobs_inline: counter(stats.jobs_inline),
            accept_errors: counter(stats.accept_errors),
            sheds: stats.sheds.into(),
            pool_rsa: lane(&pool.rsa),
            pool_other: lane(&pool.other),
        }
    }
}

fn lane(stats: &LaneStats) -> NativeLane {
    NativeLane {
        queued: counter(stats.queued as u64),
        running: counter(stats.running as u64),
        done: counter(stats.done),
        dropped: counter(stats.dropped),
        overloaded: counter(stats.overloaded),
        deadline_passed: counter(stats.deadline_passed),
        shed: counter(stats.shed),
        panicked: counter(stats.panicked),
        queued_micros: times(&stats.time_queued),
        run_micros: times(&stats.time_run),
    }
}

fn times(times: &Times) -> NativeTimes {
    NativeTimes {
        count: counter(times.count),
        mean: micros(times.mean),
        p50: micros(times.p50),
        p90: micros(times.p90),
        p99: micros(times.p99),
        max: micros(times.max),
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers; exact up to 2^53")]
pub(crate) fn counter(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers; exact up to 2^53")]
fn gauge(count: i64) -> f64 {
    count as f64
}
