use std::fmt;

use crate::ClientHello;
use crate::reader::Reader;

/// What of a ClientHello is worth keeping for as long as its connection lives: a bare one, without
/// keys, tickets and padding, in one piece of memory (some 170 bytes of a browser's).
#[derive(Clone)]
pub struct HelloOutline(Box<[u8]>);

impl HelloOutline {
    /// The longest that is kept, in bytes: many times a real client's. A longer one would be memory
    /// that a client fills at no cost.
    pub const MOST: usize = 2048;

    /// `None` above [`MOST`](Self::MOST).
    pub fn of(hello: &ClientHello) -> Option<Self> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&hello.legacy_version().to_be_bytes());
        for numbers in [
            hello.cipher_suites(),
            hello.extensions(),
            hello.supported_versions(),
            hello.groups(),
            hello.signature_schemes(),
            hello.key_shares(),
        ] {
            put(&mut bytes, numbers.iter().flat_map(|number| number.to_be_bytes()));
        }
        put(&mut bytes, hello.point_formats().iter().copied());
        put(&mut bytes, hello.server_name().unwrap_or_default().bytes());
        for protocol in hello.alpn() {
            put(&mut bytes, protocol.iter().copied());
        }
        (bytes.len() <= Self::MOST).then(|| Self(bytes.into()))
    }

    /// The hello again, as far as it was kept.
    pub fn hello(&self) -> ClientHello {
        // What `of` wrote can be read.
        ClientHello::from_outline(Reader(&self.0)).unwrap_or_default()
    }
}

impl fmt::Debug for HelloOutline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hello().fmt(f)
    }
}

fn put(bytes: &mut Vec<u8>, contents: impl Iterator<Item = u8>) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend(contents);
    // Above 64 KiB nothing is kept anyway.
    let length = u16::try_from(bytes.len() - at - 2).unwrap_or(u16::MAX);
    bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
}
