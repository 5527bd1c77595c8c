//! Where key logs and traces of connections go.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use crate::event::Event;
use crate::host::Host;
use crate::slots::ConnectionId;
use crate::tls::{KeyLogSink, TraceSink};

/// Tells the host the secrets of a connection.
pub(crate) struct KeyLog {
    pub(crate) host: Arc<Host>,
    pub(crate) id: ConnectionId,
}

impl KeyLogSink for KeyLog {
    fn line(&self, line: &str) {
        self.host.push(Event::KeyLog { id: self.id, line: line.to_owned() });
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Writes to standard error, as OpenSSL's trace in Node does.
#[derive(Debug)]
pub(crate) struct Trace;

impl Trace {
    pub(crate) fn sink() -> Arc<dyn TraceSink> {
        Arc::new(Self)
    }
}

impl TraceSink for Trace {
    fn text(&self, text: &str) {
        // Nobody reads standard error: then nobody wants the trace.
        drop(io::stderr().write_all(text.as_bytes()));
    }
}
