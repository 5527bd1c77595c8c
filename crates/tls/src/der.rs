use crate::reader::Reader;

/// An element of DER.
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    /// Tag and length too.
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Takes the element in front, up to 16 MiB.
    pub(crate) fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let start = reader.0;
        let tag = reader.u8()?;
        let length = match reader.u8()? {
            short @ 0..=0x7f => short.into(),
            0x81 => reader.u8()?.into(),
            0x82 => reader.u16()?.into(),
            0x83 => usize::from(reader.u8()?) << 16 | usize::from(reader.u16()?),
            _ => return None,
        };
        let contents = reader.take(length)?;
        Some(Self { tag, contents, whole: &start[..start.len() - reader.0.len()] })
    }
}

/// The contents of the element in front.
pub(crate) fn contents<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    Element::take(reader).filter(|element| element.tag == tag).map(|element| element.contents)
}

/// An element with these contents.
pub(crate) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let digits = length.to_be_bytes();
    let digits = &digits[length.leading_zeros() as usize / 8..];
    let mut bytes = vec![tag];
    match digits {
        [] => bytes.push(0),
        [short @ ..=0x7f] => bytes.push(*short),
        _ => {
            // At most eight.
            bytes.push(0x80 | digits.len() as u8);
            bytes.extend_from_slice(digits);
        }
    }
    contents.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub(crate) const BOOLEAN: u8 = 1;
pub(crate) const INTEGER: u8 = 2;
pub(crate) const BIT_STRING: u8 = 3;
pub(crate) const OCTET_STRING: u8 = 4;
pub(crate) const OID: u8 = 6;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
/// The first optional field of a structure, `[0]`.
pub(crate) const CONTEXT_0: u8 = 0xa0;
/// The extensions of a certificate, `[3]`.
pub(crate) const CONTEXT_3: u8 = 0xa3;
