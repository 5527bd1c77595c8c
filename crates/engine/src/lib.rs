//! Sockets and tasks of offloop: listeners, adopted descriptors and foreign byte streams, one Tokio
//! task for each connection, and the queues between them and their [`Host`].
//!
//! A host is whatever consumes plaintext: a Node environment today. It gives the engine a
//! [`Doorbell`], takes [`Event`]s with [`Host::drain`] and hands [`Operation`]s down with
//! [`Host::submit`]. The engine knows nothing of Node.
//!
//! | module | holds |
//! |---|---|
//! | `engine` | the process-wide workers and the handshake pool |
//! | `worker` | one I/O thread: its runtime, its buffers, when it rings |
//! | `host` | the slots, submission, what a host may ask for |
//! | `event_queue` | events on their way up, and how urgent a ring is |
//! | `operation` | what a host wants of its connections |
//! | `admission` | which connections a server takes on |
//! | `shed` | why and how connections are shed, and what the host hears of it |
//! | `server` | a server's contexts, limits and count of connections |
//! | `backends` | where a server that proxies passes connections on to |
//! | `proxy_header` | the PROXY protocol: who a connection is from, said by a proxy |
//! | `trusted_sources` | from which proxies that is believed |
//! | `listener` | accepting |
//! | `asking` | what is asked of the host in the middle of a handshake |
//! | `adopt` | descriptors from elsewhere; the one module with `unsafe` |
//! | `connection` | one connection: control flags, both directions, its task |
//! | `handshake` | driving `offloop_tls::Step` over a transport and the pool |
//! | `transport` | a socket or a foreign byte stream |
//! | `slots` | generation-counted connection numbers |
//! | `lock` | locking where a panic elsewhere must not spread |
//! | `sync` | what a model of the queue replaces |
//! | `sinks` | where key logs and traces go |
//! | `report` | what is told about a failure |
//! | `phases` | where the time of a handshake goes |
//! | `tally` | what happened: counters and times of the process and of each server |
//! | `stats` | what is queued in the process |
#![deny(unsafe_code)]

mod admission;
mod adopt;
mod asking;
mod backends;
mod connection;
mod engine;
mod event;
mod event_queue;
mod handshake;
mod host;
mod listener;
mod lock;
mod operation;
mod phases;
mod proxy_header;
mod report;
mod server;
mod shed;
mod sinks;
mod slots;
mod stats;
mod sync;
mod tally;
mod transport;
mod trusted_sources;
mod worker;

pub use admission::{AdmissionLimits, Rate};
pub use adopt::duplicate;
pub use asking::{Decision, Hello};
pub use backends::{BackendOptions, BackendPlace, BackendStats, Backends};
pub use connection::{Addresses, Handshaken, Offload, Settings};
pub use engine::{Engine, EngineOptions};
pub use event::{Drained, Event, EventSink, Start};
pub use host::{Accept, Doorbell, Host};
pub use listener::{BoundAddress, ListenPlace, ListenTarget};
pub use offloop_pool as pool;
pub use offloop_tls as tls;
pub use operation::{Operation, Payload};
pub use phases::{Phase, Phases};
pub use proxy_header::ProxyVersion;
pub use report::Report;
pub use server::{ServerId, ServerOptions, Stop};
pub use shed::{Shed, ShedCounts, ShedMode, ShedReason, ShedWatch};
pub use slots::ConnectionId;
pub use stats::Stats;
pub use tally::{FailureKind, Tallied, Tally};
pub use trusted_sources::TrustedSources;
