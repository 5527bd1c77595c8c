use std::fmt::{Debug, Write};
use std::sync::Arc;

use rustls::KeyLog;

/// Gets the secrets of a connection as they come about.
pub trait KeyLogSink: Send + Sync + Debug {
    /// One line of the NSS key log format, without its end: what Wireshark decrypts a capture
    /// with. Called on the thread that computes the secret.
    fn line(&self, line: &str);
}

/// rustls' way to a sink.
#[derive(Debug)]
pub(crate) struct KeyLogLines(pub(crate) Arc<dyn KeyLogSink>);

impl KeyLog for KeyLogLines {
    /// Not the secret of early data, which is never taken; OpenSSL does not tell it either then.
    fn will_log(&self, label: &str) -> bool {
        label != "CLIENT_EARLY_TRAFFIC_SECRET"
    }

    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        // Logged of every session that is resumed, though none allows early data.
        if label == "CLIENT_EARLY_TRAFFIC_SECRET" {
            return;
        }
        let mut line = format!("{label} ");
        push_hex(&mut line, client_random);
        line.push(' ');
        push_hex(&mut line, secret);
        self.0.line(&line);
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to memory doesn't fail.
        let _ = write!(text, "{byte:02x}");
    }
}
