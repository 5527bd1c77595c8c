//! What the core holds and has done, for JavaScript.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use napi_derive::napi;
use offloop_engine::pool::{LaneStats, Times};
use offloop_engine::{Engine, FailureKind, Host, Phase, Tallied, Tally};

use crate::sheds::NativeShedCounts;

/// Figures of the whole process, all threads together. Counters only grow; gauges tell of now.
#[napi(object)]
pub struct NativeStats {
    /// Connections by their state.
    pub connections: NativeConnections,
    /// Handshakes, how they ended and how long they took.
    pub handshakes: NativeHandshakes,
    /// Connections shed, by the limit that did it. Counters.
    pub sheds: NativeShedCounts,
    /// Bytes moved.
    pub bytes: NativeBytes,
    /// What the core costs the event loop of this thread.
    pub event_loop: NativeEventLoop,
    /// The pool that computes handshakes.
    pub pool: NativePool,
    /// What is held in memory.
    pub memory: NativeMemory,
    /// Threads of the core.
    pub threads: NativeThreads,
}

/// Figures of one server.
#[napi(object)]
pub struct NativeServerStats {
    /// Connections by their state.
    pub connections: NativeConnections,
    /// Handshakes, how they ended and how long they took.
    pub handshakes: NativeHandshakes,
    /// Connections shed, by the limit that did it. Counters.
    pub sheds: NativeShedCounts,
    /// Bytes moved.
    pub bytes: NativeBytes,
}

/// Connections by their state.
#[napi(object)]
pub struct NativeConnections {
    /// Accepted or handed over. Counter.
    pub accepted: f64,
    /// Errors of accept(2). Counter.
    pub accept_errors: f64,
    /// Listening sockets. Gauge.
    pub listeners: f64,
    /// All that the core has not let go of. Gauge.
    pub alive: f64,
    /// Of these, those whose ClientHello is not whole yet. Gauge.
    pub waiting: f64,
    /// Of these, in their handshake, those that wait included. Gauge.
    pub handshaking: f64,
    /// Of these, open. The rest are about to close. Gauge.
    pub open: f64,
}

/// Handshakes: those that began are done, failed, abandoned or still going on.
#[napi(object)]
pub struct NativeHandshakes {
    /// Succeeded. Counter.
    pub done: f64,
    /// Of these, with a full handshake. Counter.
    pub full: f64,
    /// Of these, with a resumed session. Counter.
    pub resumed: f64,
    /// Failed or timed out. Counter.
    pub failed: f64,
    /// Given up by the program, which destroyed the socket. Counter.
    pub abandoned: f64,
    /// Those done, by protocol version. Counters.
    pub by_version: HashMap<String, f64>,
    /// Those done, by IANA's name of the cipher suite. Counters.
    pub by_cipher: HashMap<String, f64>,
    /// The full ones, by the type of the key that signed. Counters.
    pub by_key_type: HashMap<String, f64>,
    /// Those that failed, by reason. Counters.
    pub failures: Vec<NativeFailures>,
    /// Jobs computed in the pool. Counter.
    pub jobs_offloaded: f64,
    /// Jobs computed on an I/O worker. Counter.
    pub jobs_inline: f64,
    /// How long those took that are done, by phase, in microseconds.
    pub phases: NativePhaseTimes,
}

/// How often handshakes failed for one reason.
#[napi(object)]
pub struct NativeFailures {
    /// The error's code; absent: a system error.
    pub code: Option<String>,
    /// The system's error number, negative as libuv's.
    pub errno: Option<i32>,
    /// How often.
    pub count: f64,
}

/// The times of handshakes by phase, in microseconds.
#[napi(object)]
pub struct NativePhaseTimes {
    /// Waiting for the whole ClientHello.
    pub hello: NativeTimes,
    /// Waiting for callbacks of the program.
    pub asked: NativeTimes,
    /// Jobs on their way to a thread and back.
    pub queued: NativeTimes,
    /// Jobs computing.
    pub computing: NativeTimes,
    /// Waiting for the client after its ClientHello.
    pub client: NativeTimes,
    /// All of it.
    pub total: NativeTimes,
}

/// Bytes moved. Counters.
#[napi(object)]
pub struct NativeBytes {
    /// Plaintext received.
    pub received: f64,
    /// Plaintext sent.
    pub sent: f64,
    /// Ciphertext received, handshakes included.
    pub received_wire: f64,
    /// Ciphertext sent, handshakes included.
    pub sent_wire: f64,
}

/// What the core costs the event loop of this thread.
#[napi(object)]
pub struct NativeEventLoop {
    /// How long each turn that hands over what came held the event loop, the program's handlers
    /// included, in microseconds.
    pub turns: NativeTimes,
}

/// The pool that computes handshakes.
#[napi(object)]
pub struct NativePool {
    /// The lane for RSA keys above 2048 bits.
    pub large_rsa: NativeLane,
    /// The lane for RSA keys of 2048 bits.
    pub rsa: NativeLane,
    /// The lane for everything else.
    pub other: NativeLane,
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

/// What is held in memory. Gauges.
#[napi(object)]
pub struct NativeMemory {
    /// Plaintext received that JavaScript has not taken, in bytes, and 64 for each piece.
    pub received_queued: f64,
    /// Plaintext written that is not in the kernel, in bytes.
    pub sent_queued: f64,
    /// Received of ClientHellos that are not whole yet, in bytes.
    pub hellos: f64,
    /// Private keys that the core can sign with: those of contexts in use, of replaced ones whose
    /// last connection is not gone, and of contexts that JavaScript's garbage collector has not
    /// taken.
    pub private_keys: f64,
    /// Entries in this thread's table of connections, free ones included.
    pub slots: f64,
}

/// Threads of the core.
#[napi(object)]
pub struct NativeThreads {
    /// Those that own sockets.
    pub io: u32,
    /// Those that compute handshakes.
    pub pool: u32,
}

/// A distribution of times, in microseconds.
#[napi(object)]
pub struct NativeTimes {
    /// How many.
    pub count: f64,
    /// All together.
    pub sum: f64,
    /// Their mean.
    pub mean: f64,
    /// Half were at most this; as the others, up to 1/7 too high.
    pub p50: f64,
    /// Nine of ten were at most this.
    pub p90: f64,
    /// 99 of 100 were at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// How many were at most as long as each of `bucketBounds`.
    pub buckets: Vec<f64>,
}

/// The bounds of `buckets` in distributions, in microseconds.
#[napi]
pub fn bucket_bounds() -> Vec<f64> {
    Times::BOUNDS.iter().copied().map(micros).collect()
}

/// What a server's connections are counted in, however often it listens.
#[napi]
#[derive(Default)]
pub struct NativeTally {
    pub(crate) tally: Arc<Tally>,
}

#[napi]
impl NativeTally {
    /// With nothing counted.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted.
    #[napi]
    pub fn stats(&self) -> NativeServerStats {
        let Tallies { connections, handshakes, sheds, bytes } = self.tally.read().into();
        NativeServerStats { connections, handshakes, sheds, bytes }
    }
}

impl NativeStats {
    pub(crate) fn of(engine: &Engine, host: &Host) -> Self {
        let stats = engine.stats();
        let pool = engine.pool_stats();
        let threads = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let Tallies { connections, handshakes, sheds, bytes } = engine.tally().into();
        Self {
            connections,
            handshakes,
            sheds,
            bytes,
            event_loop: NativeEventLoop { turns: (&host.turns()).into() },
            pool: NativePool {
                large_rsa: (&pool.large_rsa).into(),
                rsa: (&pool.rsa).into(),
                other: (&pool.other).into(),
            },
            memory: NativeMemory {
                received_queued: gauge(stats.received_bytes_queued),
                sent_queued: gauge(stats.sent_bytes_queued),
                hellos: gauge(stats.hello_bytes),
                private_keys: counter(offloop_engine::tls::live_keys() as u64),
                slots: counter(host.slots() as u64),
            },
            threads: NativeThreads {
                io: threads(engine.io_threads()),
                pool: threads(engine.pool_threads()),
            },
        }
    }
}

/// What figures of the process and of a server have in common.
struct Tallies {
    connections: NativeConnections,
    handshakes: NativeHandshakes,
    sheds: NativeShedCounts,
    bytes: NativeBytes,
}

impl From<Tallied> for Tallies {
    fn from(tallied: Tallied) -> Self {
        let phase = |phase: Phase| {
            let times = tallied.phases.iter().find(|(each, _)| *each == phase);
            times.map_or(Times::default(), |(_, times)| *times)
        };
        let by_version = tallied.by_version.iter();
        let by_cipher = tallied.by_cipher.iter();
        let by_key_type = tallied.by_key_type.iter();
        Self {
            connections: NativeConnections {
                accepted: counter(tallied.accepted),
                accept_errors: counter(tallied.accept_errors),
                listeners: gauge(tallied.listeners),
                alive: gauge(tallied.connections),
                waiting: gauge(tallied.waiting),
                handshaking: gauge(tallied.handshaking),
                open: gauge(tallied.open),
            },
            handshakes: NativeHandshakes {
                done: counter(tallied.done),
                full: counter(tallied.done.saturating_sub(tallied.resumed)),
                resumed: counter(tallied.resumed),
                failed: counter(tallied.failures.iter().map(|(_, count)| count).sum()),
                abandoned: counter(tallied.abandoned),
                by_version: named(by_version.map(|(version, count)| (version.as_str(), *count))),
                by_cipher: named(
                    by_cipher.map(|(suite, count)| (suite.info().standard_name, *count)),
                ),
                by_key_type: named(by_key_type.map(|(key, count)| (key.as_str(), *count))),
                failures: tallied.failures.iter().map(failures).collect(),
                jobs_offloaded: counter(tallied.jobs_offloaded),
                jobs_inline: counter(tallied.jobs_inline),
                phases: NativePhaseTimes {
                    hello: (&phase(Phase::Hello)).into(),
                    asked: (&phase(Phase::Asked)).into(),
                    queued: (&phase(Phase::Queued)).into(),
                    computing: (&phase(Phase::Computing)).into(),
                    client: (&phase(Phase::Client)).into(),
                    total: (&tallied.total).into(),
                },
            },
            sheds: tallied.sheds.into(),
            bytes: NativeBytes {
                received: counter(tallied.received),
                sent: counter(tallied.sent),
                received_wire: counter(tallied.received_wire),
                sent_wire: counter(tallied.sent_wire),
            },
        }
    }
}

impl From<&LaneStats> for NativeLane {
    fn from(stats: &LaneStats) -> Self {
        Self {
            queued: counter(stats.queued as u64),
            running: counter(stats.running as u64),
            done: counter(stats.done),
            dropped: counter(stats.dropped),
            overloaded: counter(stats.overloaded),
            deadline_passed: counter(stats.deadline_passed),
            shed: counter(stats.shed),
            panicked: counter(stats.panicked),
            queued_micros: (&stats.time_queued).into(),
            run_micros: (&stats.time_run).into(),
        }
    }
}

impl From<&Times> for NativeTimes {
    fn from(times: &Times) -> Self {
        Self {
            count: counter(times.count),
            sum: micros(times.sum),
            mean: micros(times.mean),
            p50: micros(times.p50),
            p90: micros(times.p90),
            p99: micros(times.p99),
            max: micros(times.max),
            buckets: times.cumulative.iter().copied().map(counter).collect(),
        }
    }
}

fn failures((kind, count): &(FailureKind, u64)) -> NativeFailures {
    let (code, errno) = match *kind {
        FailureKind::Code(code) => (Some(code.to_owned()), None),
        FailureKind::System(errno) => (None, Some(-errno)),
    };
    NativeFailures { code, errno, count: counter(*count) }
}

fn named<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> HashMap<String, f64> {
    counts.map(|(name, count)| (name.to_owned(), counter(count))).collect()
}

pub(crate) fn micros(time: Duration) -> f64 {
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
