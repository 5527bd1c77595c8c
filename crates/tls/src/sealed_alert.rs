use std::cell::Cell;

use rustls::crypto::cipher::{
    MessageEncrypter, OutboundChunks, OutboundOpaqueMessage, OutboundPlainMessage,
};
use rustls::{ContentType, Error, ServerConnection};

use crate::Alert;
use crate::alert::FATAL;

/// Queues a fatal alert, sealed with the connection's keys, unless rustls has sent one itself or
/// close_notify has gone out.
///
/// Some errors end a connection of rustls without an alert, and the only one that it sends when
/// asked is close_notify: [`Sealer`] puts this one in its place.
pub(crate) fn send_alert(connection: &mut ServerConnection, alert: Alert) {
    INSTEAD.set(Some(alert));
    connection.send_close_notify();
    INSTEAD.set(None);
}

thread_local! {
    /// What goes out instead of the alert that is being sealed. Sealing happens within the call
    /// that asks for it, so this is an argument that rustls has no place for.
    static INSTEAD: Cell<Option<Alert>> = const { Cell::new(None) };
}

/// Seals the records of a connection that [`send_alert`] knows.
pub(crate) struct Sealer(pub(crate) Box<dyn MessageEncrypter>);

impl MessageEncrypter for Sealer {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        if message.typ == ContentType::Alert
            && let Some(alert) = INSTEAD.get()
        {
            let payload = [FATAL, alert.number()];
            let payload = OutboundChunks::Single(&payload);
            return self.0.encrypt(OutboundPlainMessage { payload, ..message }, seq);
        }
        self.0.encrypt(message, seq)
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.0.encrypted_payload_len(payload_len)
    }
}
