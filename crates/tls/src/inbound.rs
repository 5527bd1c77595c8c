use std::ops::Range;

/// Bytes from the client, cut into TLS records (RFC 8446 section 5.1).
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    bytes: Vec<u8>,
    taken: usize,
}

/// The front of [`Inbound`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    /// No whole record is there.
    Partial,
    /// A whole record with its header.
    Record(&'a [u8]),
    /// No TLS record starts here.
    Malformed(&'a [u8]),
}

impl Inbound {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that weren't taken.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(crate) fn into_rest(mut self) -> Vec<u8> {
        self.bytes.drain(..self.taken);
        self.bytes
    }

    /// The content type of the record at the front, once it is whole. A malformed front has none
    /// of the known types.
    pub(crate) fn front_type(&self) -> Option<u8> {
        record_range(self.rest()).map(|range| if range.is_ok() { self.rest()[0] } else { u8::MAX })
    }

    /// Whether the records at the front hold a whole handshake message, or something else that
    /// ends the wait for one.
    pub(crate) fn holds_message(&self) -> bool {
        let mut bytes = self.rest();
        let mut message = Vec::with_capacity(4);
        let mut length = 0;
        for _ in 0..MAX_RECORDS {
            let range = match record_range(bytes) {
                None => return false,
                Some(Ok(range)) if bytes[0] == HANDSHAKE => range,
                Some(_) => return true,
            };
            let payload = &bytes[HEADER..range.end];
            message.extend(payload.iter().take(4 - message.len()));
            length += payload.len();
            if message_length(&message).is_some_and(|whole| length >= whole) {
                return true;
            }
            bytes = &bytes[range.end..];
        }
        true
    }

    /// Takes the record at the front. A malformed front is taken whole: nothing follows it.
    pub(crate) fn take(&mut self) -> Front<'_> {
        let front = front(&self.bytes[self.taken..]);
        self.taken += match front {
            Front::Partial => 0,
            Front::Record(bytes) | Front::Malformed(bytes) => bytes.len(),
        };
        front
    }

    /// Gives back what was taken: before a wait for the client.
    pub(crate) fn shrink(&mut self) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.shrink_to_fit();
    }
}

impl From<Vec<u8>> for Inbound {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }
}

/// What stands at the front of `bytes`.
pub(crate) fn front(bytes: &[u8]) -> Front<'_> {
    match record_range(bytes) {
        None => Front::Partial,
        Some(Ok(range)) => Front::Record(&bytes[range]),
        Some(Err(())) => Front::Malformed(bytes),
    }
}

/// Where the first record lies: `None` as long as it isn't whole.
fn record_range(bytes: &[u8]) -> Option<Result<Range<usize>, ()>> {
    let header = bytes.first_chunk::<HEADER>()?;
    if !is_record_header(header) {
        return Some(Err(()));
    }
    let end = HEADER + payload_length(header);
    (bytes.len() >= end).then_some(Ok(0..end))
}

fn is_record_header(header: &[u8; HEADER]) -> bool {
    (20..=23).contains(&header[0]) && header[1] == 3 && payload_length(header) <= MAX_PAYLOAD
}

/// The length of a handshake message with its header (RFC 8446 section 4).
pub(crate) fn message_length(start: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = *start.first_chunk()?;
    Some(4 + usize::from(high) * 65_536 + usize::from(middle) * 256 + usize::from(low))
}

fn payload_length(header: &[u8; HEADER]) -> usize {
    u16::from_be_bytes([header[3], header[4]]).into()
}

/// Type, version and length.
pub(crate) const HEADER: usize = 5;

/// The most that TLS 1.2 allows in an encrypted record (RFC 5246 section 6.2.3); TLS 1.3 allows
/// less, which rustls checks.
pub(crate) const MAX_PAYLOAD: usize = 16_384 + 2_048;

/// In how many records a ClientHello may come: enough for clients that cut theirs to get it past
/// middleboxes, and a bound on what headers may cost.
pub(crate) const MAX_RECORDS: usize = 64;

/// Content types (RFC 8446 section 5.1).
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const HANDSHAKE: u8 = 22;
/// In TLS 1.3 the disguise of every encrypted record.
pub(crate) const APPLICATION_DATA: u8 = 23;
