//! Keys of session tickets that contexts share.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;
use offloop_engine::tls::{ContextError, SharedTicketKeys};

use crate::{Result, coded};

/// The keys that seal and open tickets, for any number of contexts. Opaque to JavaScript.
#[napi]
pub struct NativeTicketKeys {
    pub(crate) keys: SharedTicketKeys,
}

#[napi]
impl NativeTicketKeys {
    /// With the key of these 48 bytes; without, with random keys that are replaced as time goes on.
    #[napi(constructor)]
    pub fn new(bytes: Option<Uint8Array>) -> Result<Self> {
        let keys = match bytes {
            None => SharedTicketKeys::new(),
            Some(bytes) => SharedTicketKeys::from_bytes(whole(&bytes)?),
        };
        Ok(Self { keys: keys.map_err(refused)? })
    }

    /// The 48 bytes of the key that seals new tickets.
    #[napi]
    pub fn get(&self) -> Buffer {
        self.keys.get().to_vec().into()
    }

    /// New tickets are sealed with the key of these 48 bytes. Those of earlier keys still open.
    #[napi]
    pub fn set(&self, bytes: Uint8Array) -> Result<()> {
        self.keys.set(whole(&bytes)?).map_err(refused)
    }
}

fn whole(bytes: &[u8]) -> Result<&[u8; 48]> {
    bytes.try_into().map_err(|_| {
        let message = format!("ticket keys must have 48 bytes, got {}", bytes.len());
        coded("ERR_INVALID_ARG_VALUE", message)
    })
}

fn refused(error: ContextError) -> napi::Error<String> {
    coded(error.code().as_str(), error.to_string())
}
