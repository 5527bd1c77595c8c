//! What happened, in numbers that any thread adds to and reads without waiting: of the process, and
//! of each server.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use offloop_pool::{Histogram, Times};

use crate::lock::lock;
use crate::phases::{Phase, Phases};
use crate::report::Report;
use crate::shed::{ShedCounters, ShedCounts};
use crate::tls::{CipherSuite, KeyType, ProtocolVersion, Session};

/// See the module's head. A server's outlives it: whoever listens again goes on with the same.
#[derive(Default)]
pub struct Tally {
    pub(crate) connections: AtomicI64,
    pub(crate) waiting: AtomicI64,
    pub(crate) handshaking: AtomicI64,
    pub(crate) open: AtomicI64,
    pub(crate) listeners: AtomicI64,
    pub(crate) accepted: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) jobs_offloaded: AtomicU64,
    pub(crate) jobs_inline: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    /// Apart from each other: one end of a busy connection is served by its worker, the other by
    /// its host's thread.
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    pub(crate) sheds: ShedCounters,
    resumed: AtomicU64,
    by_version: [AtomicU64; VERSIONS.len()],
    by_cipher: [AtomicU64; CipherSuite::ALL.len()],
    by_key_type: [AtomicU64; KeyType::ALL.len()],
    phases: [Histogram; Phase::ALL.len()],
    total: Histogram,
    /// Failures are rare beside what they cost otherwise: a lock is cheap enough.
    failures: Mutex<HashMap<FailureKind, u64>>,
}

/// Bytes in one direction, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Traffic {
    pub(crate) plaintext: AtomicU64,
    pub(crate) wire: AtomicU64,
}

/// Why a handshake failed: there are as many as codes and error numbers, so a table of them is
/// bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// What [`Report::code`] says.
    Code(&'static str),
    /// The system's error number, positive.
    System(i32),
}

/// A snapshot of a [`Tally`]: gauges (how many now) and counters (how many since the start). They
/// are read one after the other, so that what moves on meanwhile may be seen twice or not at all.
#[derive(Clone, Debug, Default)]
pub struct Tallied {
    /// Connection tasks alive. Gauge.
    pub connections: i64,
    /// Of these, with a ClientHello that is not whole yet. Gauge.
    pub waiting: i64,
    /// Of these, in their handshake, those that wait included. Gauge.
    pub handshaking: i64,
    /// Of these, open. Gauge.
    pub open: i64,
    /// Listening sockets. Gauge.
    pub listeners: i64,
    /// Connections accepted or handed over. Counter.
    pub accepted: u64,
    /// Errors of accept(2), such as EMFILE. Counter.
    pub accept_errors: u64,
    /// Handshake jobs computed in the pool. Counter.
    pub jobs_offloaded: u64,
    /// Handshake jobs computed on an I/O worker. Counter.
    pub jobs_inline: u64,
    /// Handshakes that the host gave up. Counter.
    pub abandoned: u64,
    /// Plaintext received, in bytes. Counter.
    pub received: u64,
    /// Plaintext sent, in bytes. Counter.
    pub sent: u64,
    /// Ciphertext received, handshakes included, in bytes. Counter.
    pub received_wire: u64,
    /// Ciphertext sent, handshakes included, in bytes. Counter.
    pub sent_wire: u64,
    /// Connections shed, by reason. Counters, in the order of [`crate::ShedReason::ALL`].
    pub sheds: ShedCounts,
    /// Handshakes that succeeded, resumed ones included. Counter.
    pub done: u64,
    /// Of these, resumed sessions. Counter.
    pub resumed: u64,
    /// The same by protocol version.
    pub by_version: Vec<(ProtocolVersion, u64)>,
    /// By cipher suite; those that were never agreed on are left out.
    pub by_cipher: Vec<(CipherSuite, u64)>,
    /// By the type of the key that signed: the full ones.
    pub by_key_type: Vec<(KeyType, u64)>,
    /// How long each phase took of the handshakes that succeeded.
    pub phases: Vec<(Phase, Times)>,
    /// How long they took.
    pub total: Times,
    /// Handshakes that failed, by their reason.
    pub failures: Vec<(FailureKind, u64)>,
}

impl Tally {
    pub(crate) fn succeeded(&self, session: &Session, phases: &Phases) {
        if session.resumed {
            add(&self.resumed, 1);
        }
        add_to(&self.by_version, &VERSIONS, &session.protocol);
        add_to(&self.by_cipher, CipherSuite::ALL, &session.suite);
        if let Some(key_type) = &session.key_type {
            add_to(&self.by_key_type, KeyType::ALL, key_type);
        }
        for (histogram, phase) in self.phases.iter().zip(Phase::ALL) {
            histogram.record(phases.of(*phase));
        }
        self.total.record(phases.total());
    }

    pub(crate) fn failed(&self, report: &Report) {
        *lock(&self.failures).entry(report.kind()).or_default() += 1;
    }

    /// Reads everything.
    pub fn read(&self) -> Tallied {
        let gauge = |gauge: &AtomicI64| gauge.load(Relaxed);
        let counter = |counter: &AtomicU64| counter.load(Relaxed);
        let by_version = table(&self.by_version, &VERSIONS);
        Tallied {
            connections: gauge(&self.connections),
            waiting: gauge(&self.waiting),
            handshaking: gauge(&self.handshaking),
            open: gauge(&self.open),
            listeners: gauge(&self.listeners),
            accepted: counter(&self.accepted),
            accept_errors: counter(&self.accept_errors),
            jobs_offloaded: counter(&self.jobs_offloaded),
            jobs_inline: counter(&self.jobs_inline),
            abandoned: counter(&self.abandoned),
            received: counter(&self.received.plaintext),
            sent: counter(&self.sent.plaintext),
            received_wire: counter(&self.received.wire),
            sent_wire: counter(&self.sent.wire),
            sheds: self.sheds.snapshot(),
            done: by_version.iter().map(|(_, count)| count).sum(),
            resumed: counter(&self.resumed),
            by_version,
            by_cipher: table(&self.by_cipher, CipherSuite::ALL)
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            by_key_type: table(&self.by_key_type, KeyType::ALL),
            phases: Phase::ALL
                .iter()
                .copied()
                .zip(self.phases.iter().map(Histogram::times))
                .collect(),
            total: self.total.times(),
            failures: lock(&self.failures).iter().map(|(kind, count)| (*kind, *count)).collect(),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Relaxed);
}

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::Tls12, ProtocolVersion::Tls13];

fn add_to<K: PartialEq>(counters: &[AtomicU64], keys: &[K], key: &K) {
    if let Some(at) = keys.iter().position(|each| each == key) {
        add(&counters[at], 1);
    }
}

fn table<K: Copy>(counters: &[AtomicU64], keys: &[K]) -> Vec<(K, u64)> {
    keys.iter().copied().zip(counters.iter().map(|counter| counter.load(Relaxed))).collect()
}
