use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest, Md5};

use crate::client_hello::extension;
use crate::{ClientHello, Hex};

impl ClientHello {
    /// The JA3 string: version, cipher suites, extensions, groups and point formats, in decimal and
    /// without GREASE (<https://github.com/salesforce/ja3>).
    pub fn ja3(&self) -> String {
        let formats: Vec<_> = self.point_formats().iter().copied().map(u16::from).collect();
        let fields = [self.cipher_suites(), self.extensions(), self.groups(), &formats];
        fields.iter().fold(self.legacy_version().to_string(), |mut text, numbers| {
            let numbers = without_grease(numbers).map(|number| number.to_string());
            text.push(',');
            text.push_str(&numbers.collect::<Vec<_>>().join("-"));
            text
        })
    }

    /// The MD5 of the JA3 string, in hex.
    pub fn ja3_hash(&self) -> String {
        Hex(&Md5::digest(self.ja3())).to_string()
    }

    /// The JA4 fingerprint of a client over TCP (FoxIO, `technical_details/JA4.md`), for example
    /// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    pub fn ja4(&self) -> String {
        let count = |numbers: &[u16]| without_grease(numbers).count().min(99);
        let name = if self.offers_extension(extension::SERVER_NAME) { 'd' } else { 'i' };
        format!(
            "t{version}{name}{ciphers:02}{extensions:02}{alpn}_{cipher_hash}_{extension_hash}",
            version = self.ja4_version(),
            ciphers = count(self.cipher_suites()),
            extensions = count(self.extensions()),
            alpn = self.ja4_alpn(),
            cipher_hash = truncated_hash(&sorted_list(self.cipher_suites(), &[])),
            extension_hash = truncated_hash(&self.ja4_extensions()),
        )
    }

    fn ja4_version(&self) -> &'static str {
        let offered = without_grease(self.supported_versions()).max();
        match offered.unwrap_or(self.legacy_version()) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        }
    }

    /// First and last character of the first protocol; of its hex where one is no letter or digit.
    fn ja4_alpn(&self) -> String {
        let Some([first, .., last] | [first @ last]) = self.alpn().first().map(Vec::as_slice)
        else {
            return "00".to_owned();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            [*first, *last].map(char::from).iter().collect()
        } else {
            let (first, last) = (Hex(&[*first]).to_string(), Hex(&[*last]).to_string());
            format!("{}{}", &first[..1], &last[1..])
        }
    }

    fn ja4_extensions(&self) -> String {
        let mut list = sorted_list(self.extensions(), &[extension::SERVER_NAME, extension::ALPN]);
        let schemes: Vec<_> = without_grease(self.signature_schemes()).map(hex_number).collect();
        if !schemes.is_empty() {
            list.push('_');
            list.push_str(&schemes.join(","));
        }
        list
    }
}

fn sorted_list(numbers: &[u16], left_out: &[u16]) -> String {
    let mut numbers: Vec<_> =
        without_grease(numbers).filter(|number| !left_out.contains(number)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(hex_number).collect::<Vec<_>>().join(",")
}

fn truncated_hash(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    Hex(&digest(&SHA256, text.as_bytes()).as_ref()[..6]).to_string()
}

fn hex_number(number: u16) -> String {
    format!("{number:04x}")
}

/// RFC 8701: both bytes are the same and end in `a`.
fn without_grease(numbers: &[u16]) -> impl Iterator<Item = u16> {
    let is_grease = |number: u16| number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff;
    numbers.iter().copied().filter(move |&number| !is_grease(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HelloOutline;

    /// Chrome 102's ClientHello for content-autofill.googleapis.com, of JA4's own documentation,
    /// and Firefox' of the same capture; without the zeros of their padding.
    const CHROME: &str = "010001fc0303b2c03e7ba990ef540c316a665d4d925f8e9079ac4b15687e587dc99016e75a6c20d0b009\
        9243c9296a0c84153ea4ada7d87ad017f4211c2ea1350b0b3cc5514d5f00205a5a130113021303c02bc0\
        2fc02cc030cca9cca8c013c014009c009d002f003501000193fafa000000000024002200001f636f6e74\
        656e742d6175746f66696c6c2e676f6f676c65617069732e636f6d0033002b00293a3a000100001d0020\
        fb2cd8ef3d605b96ab03119ec4f30a6e2088cb1af86c41a81feace8706068c50000d0012001004030804\
        04010503080505010806060100230000000b00020100ff01000100000a000a00083a3a001d0017001800\
        1b000302000244690005000302683200120000002d000201010010000e000c02683208687474702f312e\
        31000500050100000000002b0007060a0a03040303001700001a1a000100001500b8";
    const FIREFOX: &str = "010001fc0303ecb2691addb2bf6c599c7aaae23de5f42561cc04eb41029acc6fc050a16ac1d22046f861\
        7b580ac9358e2aa44e306d52466bcc989c87c8ca64309f5faf50ba7b4d0022130113031302c02bc02fcc\
        a9cca8c02cc030c00ac009c013c014009c009d002f00350100019100000021001f00001c636f6e74696c\
        652e73657276696365732e6d6f7a696c6c612e636f6d00170000ff01000100000a000e000c001d001700\
        18001901000101000b00020100002300000010000e000c02683208687474702f312e3100050005010000\
        00000022000a000804030503060302030033006b0069001d00208909858fbeb6ed2f1248ba5b9e2978be\
        ad0e840110192c61daed0096798b184400170041044d183d91f5eed35791fa982464e3b0214aaa5f5d1b\
        78616d9b9fbebc22d11f535b2f94c686143136aa795e6e5a875d6c08064ad5b76d44caad766e24830127\
        48002b00050403040303000d0018001604030503060308040805080604010501060102030201002d0002\
        0101001c000240010015007a";

    fn hello(message: &str) -> ClientHello {
        let digits = (0..message.len()).step_by(2).map(|at| &message[at..at + 2]);
        let mut bytes: Vec<u8> =
            digits.map(|digits| u8::from_str_radix(digits, 16).expect("hex")).collect();
        bytes.resize(512, 0);
        ClientHello::read(&bytes).expect("a ClientHello")
    }

    fn offering(protocol: &[u8]) -> ClientHello {
        ClientHello::with_alpn(vec![protocol.to_vec()])
    }

    #[test]
    fn ja4_is_that_of_its_documentation() {
        assert_eq!(hello(CHROME).ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(hello(FIREFOX).ja4(), "t13d1715h2_5b57614c22b0_3d5424432f57");
    }

    #[test]
    fn ja3_is_that_of_its_documentation() {
        let hash = |text: &str| Hex(&Md5::digest(text)).to_string();
        for (text, expected) in [
            (
                "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0",
                "ada70206e40642a3e4461f35503241d5",
            ),
            ("769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6"),
        ] {
            assert_eq!(hash(text), expected);
        }
        assert_eq!(
            hello(CHROME).ja3(),
            "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
             0-51-13-35-11-65281-10-27-17513-18-45-16-5-43-23-21,29-23-24,0"
        );
        assert_eq!(hello(CHROME).ja3_hash(), hash(&hello(CHROME).ja3()));
    }

    #[test]
    fn a_hello_without_anything_has_fingerprints_too() {
        let hello = ClientHello::default();
        assert_eq!(hello.ja3(), "0,,,,");
        assert_eq!(hello.ja4(), "t00i000000_000000000000_000000000000");
    }

    #[test]
    fn an_outline_keeps_what_fingerprints_are_made_of() {
        for message in [CHROME, FIREFOX] {
            let hello = hello(message);
            let outline = HelloOutline::of(&hello).expect("short enough");
            let again = outline.hello();
            assert_eq!(again.ja4(), hello.ja4());
            assert_eq!(again.ja3(), hello.ja3());
            assert_eq!(again.server_name(), hello.server_name());
            assert_eq!(again.alpn(), hello.alpn());
            assert_eq!(again.key_shares(), hello.key_shares());
        }
        let endless = ClientHello::with_alpn(vec![vec![b'x'; 200]; 11]);
        assert!(HelloOutline::of(&endless).is_none());
    }

    #[test]
    fn odd_protocols_are_told_by_their_hex() {
        for (protocol, told) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"", "00"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
        ] {
            assert_eq!(offering(protocol).ja4_alpn(), told, "{protocol:?}");
        }
    }
}
