use crate::inbound::HEADER;

/// Where a stream of records stands: finds their headers in pieces of any size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordCursor {
    header: [u8; HEADER],
    /// How much of the header is there.
    filled: u8,
    /// How much of the payload is to come.
    left: u16,
}

/// A part of a stream of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Header([u8; HEADER]),
    /// Payload of the record whose header came last.
    Payload(&'a [u8]),
}

/// What came of a record.
pub(crate) struct Taken<'a> {
    /// As it came.
    pub(crate) bytes: &'a [u8],
    /// Its header, if that ends here.
    pub(crate) header: Option<[u8; HEADER]>,
    /// It ends here.
    pub(crate) is_whole: bool,
}

impl RecordCursor {
    /// Takes what `bytes` have of the record in front.
    pub(crate) fn take<'a>(&mut self, bytes: &mut &'a [u8]) -> Taken<'a> {
        let all = *bytes;
        let mut header = None;
        while let Some(part) = self.next(bytes) {
            if let Part::Header(whole) = part {
                header = Some(whole);
            }
            if self.left == 0 {
                break;
            }
        }
        let is_whole = self.left == 0 && self.filled == 0;
        Taken { bytes: &all[..all.len() - bytes.len()], header, is_whole }
    }

    /// How much is to come of the record whose header came last.
    pub(crate) fn left(&self) -> usize {
        self.left.into()
    }

    /// Takes the part in front of `bytes`; `None` if nothing but a piece of a header is there,
    /// which is kept.
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        if self.left > 0 && !bytes.is_empty() {
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left.into()));
            *bytes = rest;
            // Not longer than `left`.
            self.left = self.left.saturating_sub(u16::try_from(payload.len()).unwrap_or(u16::MAX));
            return Some(Part::Payload(payload));
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.header[usize::from(self.filled)] = byte;
            self.filled += 1;
            if usize::from(self.filled) == HEADER {
                self.filled = 0;
                self.left = u16::from_be_bytes([self.header[3], self.header[4]]);
                return Some(Part::Header(self.header));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_pieces_of_any_size() {
        let stream = [22, 3, 3, 0, 3, 1, 2, 3, 20, 3, 3, 0, 0, 23, 3, 3, 0, 1, 9];
        for size in 1..=stream.len() {
            let mut cursor = RecordCursor::default();
            let (mut headers, mut payload) = (Vec::new(), Vec::new());
            for mut piece in stream.chunks(size) {
                while let Some(part) = cursor.next(&mut piece) {
                    match part {
                        Part::Header(header) => headers.push(header),
                        Part::Payload(bytes) => payload.extend_from_slice(bytes),
                    }
                }
            }
            assert_eq!(headers, [[22, 3, 3, 0, 3], [20, 3, 3, 0, 0], [23, 3, 3, 0, 1]], "{size}");
            assert_eq!(payload, [1, 2, 3, 9], "{size}");
        }
    }

    #[test]
    fn records_are_taken_one_by_one_from_pieces_of_any_size() {
        let stream = [22, 3, 3, 0, 3, 1, 2, 3, 20, 3, 3, 0, 0, 23, 3, 3, 0, 1, 9];
        for size in 1..=stream.len() {
            let mut cursor = RecordCursor::default();
            let (mut records, mut record, mut headers) = (Vec::new(), Vec::new(), Vec::new());
            for mut piece in stream.chunks(size) {
                while !piece.is_empty() {
                    let taken = cursor.take(&mut piece);
                    record.extend_from_slice(taken.bytes);
                    headers.extend(taken.header);
                    if taken.is_whole {
                        records.push(std::mem::take(&mut record));
                    }
                }
            }
            assert_eq!(records, [&stream[..8], &stream[8..13], &stream[13..]], "{size}");
            assert_eq!(headers, [[22, 3, 3, 0, 3], [20, 3, 3, 0, 0], [23, 3, 3, 0, 1]], "{size}");
        }
    }
}
