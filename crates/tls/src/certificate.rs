use rustls_pki_types::{SubjectPublicKeyInfoDer, UnixTime};

use crate::der::{
    BIT_STRING, BOOLEAN, CONTEXT_0, CONTEXT_3, Element, GENERALIZED_TIME, INTEGER, OCTET_STRING,
    OID, SEQUENCE, UTC_TIME, contents, element,
};
use crate::reader::Reader;

/// A certificate (RFC 5280 section 4.1) as far as this crate reads it itself: webpki reads those of
/// version 3 only, and of those that are trusted nothing but name and key.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    /// What is signed.
    pub(crate) signed: &'a [u8],
    is_version1: bool,
    /// From the serial number to the key.
    fields: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    validity: &'a [u8],
    key: &'a [u8],
    extensions: &'a [u8],
    /// The signature and its algorithm.
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(contents(&mut Reader(der), SEQUENCE)?);
        let signed = Element::take(&mut outer).filter(|element| element.tag == SEQUENCE)?;
        let signature = outer.0;
        let mut inner = Reader(signed.contents);
        let is_version1 = inner.0.first() != Some(&CONTEXT_0);
        if !is_version1 {
            Element::take(&mut inner)?;
        }
        let start = inner.0;
        let _serial_number = contents(&mut inner, INTEGER)?;
        let _signature_algorithm = contents(&mut inner, SEQUENCE)?;
        let issuer = contents(&mut inner, SEQUENCE)?;
        let validity = contents(&mut inner, SEQUENCE)?;
        let subject = contents(&mut inner, SEQUENCE)?;
        let key = Element::take(&mut inner).filter(|element| element.tag == SEQUENCE)?;
        let fields = &start[..start.len() - inner.0.len()];
        let mut extensions: &[u8] = &[];
        while !inner.is_empty() {
            let field = Element::take(&mut inner)?;
            if field.tag == CONTEXT_3 {
                extensions = contents(&mut Reader(field.contents), SEQUENCE)?;
            }
        }
        Some(Self {
            signed: signed.whole,
            is_version1,
            fields,
            issuer,
            subject,
            validity,
            key: key.whole,
            extensions,
            signature,
        })
    }

    pub(crate) fn public_key(&self) -> SubjectPublicKeyInfoDer<'a> {
        self.key.into()
    }

    pub(crate) fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// Whether it names itself as its issuer.
    pub(crate) fn is_self_signed(&self) -> bool {
        self.names_as_issuer(self)
    }

    /// Whether it names this certificate as its issuer: by name, and by key if both tell one.
    pub(crate) fn names_as_issuer(&self, issuer: &Certificate<'_>) -> bool {
        let keys = || (self.authority_key(), issuer.subject_key());
        self.issuer == issuer.subject && !matches!(keys(), (Some(named), Some(own)) if named != own)
    }

    /// Whether it may issue certificates of clients (OpenSSL's `check_purpose_ssl_client` for an
    /// authority). One of version 1 may only if it is a root.
    pub(crate) fn may_issue_clients(&self) -> bool {
        let is_authority = match self.extension(BASIC_CONSTRAINTS) {
            Some(_) => self.basic_constraints().0,
            None if self.is_version1 => self.is_self_signed(),
            None => self.extension(KEY_USAGE).is_some(),
        };
        is_authority && self.allows_use(&[KEY_CERT_SIGN]) && self.allows_clients()
    }

    /// Whether it is one of a client, by its extensions.
    pub(crate) fn may_be_client(&self) -> bool {
        self.allows_use(&[DIGITAL_SIGNATURE, KEY_AGREEMENT]) && self.allows_clients()
    }

    /// How many authorities may stand between it and a client.
    pub(crate) fn path_length(&self) -> Option<usize> {
        self.basic_constraints().1
    }

    /// The times that it is valid between. Ends before 1970 count as 1970.
    pub(crate) fn validity(&self) -> Option<(UnixTime, UnixTime)> {
        let mut validity = Reader(self.validity);
        Some((time(&mut validity)?, time(&mut validity)?))
    }

    /// The certificate with the same contents as webpki takes a client's: of version 3, and not one
    /// of an authority, which means nothing for a client. `None` if it is so already. Its signature
    /// is still one over [`signed`](Self::signed).
    pub(crate) fn as_plain_client(&self) -> Option<Vec<u8>> {
        if !self.is_version1 && !self.basic_constraints().0 {
            return None;
        }
        let kept: Vec<&[u8]> = self
            .extensions()
            .filter(|extension| extension.oid != BASIC_CONSTRAINTS)
            .map(|extension| extension.whole)
            .collect();
        let version3 = element(CONTEXT_0, &[&element(INTEGER, &[&[2]])]);
        let extensions = element(CONTEXT_3, &[&element(SEQUENCE, &kept)]);
        let signed = element(SEQUENCE, &[&version3, self.fields, &extensions]);
        Some(element(SEQUENCE, &[&signed, self.signature]))
    }

    fn basic_constraints(&self) -> (bool, Option<usize>) {
        let mut constraints = self
            .extension(BASIC_CONSTRAINTS)
            .and_then(|value| contents(&mut Reader(value), SEQUENCE))
            .map_or(Reader(&[]), Reader);
        let mut next = Element::take(&mut constraints);
        let is_authority =
            next.as_ref().is_some_and(|flag| flag.tag == BOOLEAN && flag.contents != [0]);
        if next.as_ref().is_some_and(|flag| flag.tag == BOOLEAN) {
            next = Element::take(&mut constraints);
        }
        let length = next.filter(|number| number.tag == INTEGER).map(|number| {
            number.contents.iter().fold(0_usize, |sum, byte| {
                sum.saturating_mul(256).saturating_add(usize::from(*byte))
            })
        });
        (is_authority, length)
    }

    /// Whether the key may be used in one of these ways, given as the numbers of bits.
    fn allows_use(&self, uses: &[u8]) -> bool {
        let Some(value) = self.extension(KEY_USAGE) else { return true };
        let bits = contents(&mut Reader(value), BIT_STRING).and_then(|bits| bits.get(1));
        bits.is_some_and(|bits| uses.iter().any(|bit| bits & 0x80 >> bit != 0))
    }

    fn allows_clients(&self) -> bool {
        let Some(value) = self.extension(EXTENDED_KEY_USAGE) else { return true };
        let Some(purposes) = contents(&mut Reader(value), SEQUENCE) else { return false };
        let mut purposes = Reader(purposes);
        std::iter::from_fn(|| contents(&mut purposes, OID)).any(|purpose| purpose == CLIENT_AUTH)
    }

    fn authority_key(&self) -> Option<&'a [u8]> {
        /// `[0]`, implicit.
        const KEY_IDENTIFIER: u8 = 0x80;
        let value = self.extension(AUTHORITY_KEY_IDENTIFIER)?;
        contents(&mut Reader(contents(&mut Reader(value), SEQUENCE)?), KEY_IDENTIFIER)
    }

    fn subject_key(&self) -> Option<&'a [u8]> {
        contents(&mut Reader(self.extension(SUBJECT_KEY_IDENTIFIER)?), OCTET_STRING)
    }

    fn extension(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extensions().find(|extension| extension.oid == oid).map(|extension| extension.value)
    }

    fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + use<'a> {
        let mut extensions = Reader(self.extensions);
        std::iter::from_fn(move || Extension::take(&mut extensions))
    }
}

struct Extension<'a> {
    oid: &'a [u8],
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Extension<'a> {
    fn take(extensions: &mut Reader<'a>) -> Option<Self> {
        let extension = Element::take(extensions)?;
        let mut fields = Reader(extension.contents);
        let oid = contents(&mut fields, OID)?;
        let mut value = Element::take(&mut fields)?;
        if value.tag == BOOLEAN {
            // Whether it is critical.
            value = Element::take(&mut fields)?;
        }
        Some(Self { oid, value: value.contents, whole: extension.whole })
    }
}

// Extensions of 2.5.29.
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];

/// 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

// Bits of the key usage, the first one counted as 0.
const DIGITAL_SIGNATURE: u8 = 0;
const KEY_AGREEMENT: u8 = 4;
const KEY_CERT_SIGN: u8 = 5;

fn time(reader: &mut Reader<'_>) -> Option<UnixTime> {
    let time = Element::take(reader)?;
    let text = std::str::from_utf8(time.contents).ok()?.strip_suffix('Z')?;
    let (year, text) = text.split_at_checked(match time.tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    })?;
    let year: u64 = year.parse().ok()?;
    let year = match time.tag {
        UTC_TIME if year < 50 => year + 2000,
        UTC_TIME => year + 1900,
        _ => year,
    };
    let number = |at: usize| text.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (number(0)?, number(2)?);
    let seconds = number(4)? * 3600 + number(6)? * 60 + number(8)?;
    let days = days_until(year, month, day).saturating_sub(days_until(1970, 1, 1));
    Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(days * 86_400 + seconds)))
}

/// Days since the 1st of March of the year 0, in years that begin with March.
fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.max(1) - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day
}
