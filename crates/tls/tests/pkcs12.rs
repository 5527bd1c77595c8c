//! PKCS#12 files, made by `openssl pkcs12 -export` of one P-256 key and its root's certificate.

use offloop_tls::{
    ContextError, ContextOptions, Identity, Pkcs12Fault, ServerContext, parse_pkcs12,
};

/// PBES2 with AES-256 and a SHA-256 MAC, as OpenSSL 3 makes them.
const MODERN: &[u8] = include_bytes!("pkcs12/modern.p12");
/// RC2-40 for the certificates, 3DES for the key, as OpenSSL 1 made them (`-legacy`).
const RC2: &[u8] = include_bytes!("pkcs12/rc2.p12");
/// 3DES for both, with a passphrase beyond ASCII.
const TRIPLE_DES: &[u8] = include_bytes!("pkcs12/triple-des.p12");
const EMPTY_PASSPHRASE: &[u8] = include_bytes!("pkcs12/empty-passphrase.p12");
/// Neither encryption nor a MAC.
const PLAIN: &[u8] = include_bytes!("pkcs12/plain.p12");
const NO_KEY: &[u8] = include_bytes!("pkcs12/no-key.p12");
const NO_CERTIFICATE: &[u8] = include_bytes!("pkcs12/no-certificate.p12");

fn fault(data: &[u8], passphrase: Option<&str>) -> Pkcs12Fault {
    match parse_pkcs12(data, passphrase).unwrap_err() {
        ContextError::BadPkcs12(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_file_gives_the_same_identity() {
    let expected = parse_pkcs12(MODERN, Some("secret")).unwrap();
    assert_eq!(expected.chain.len(), 2);
    for (data, passphrase, certificates) in [
        (RC2, Some("secret"), 2),
        (TRIPLE_DES, Some("p\u{e4}ssw\u{f6}rd"), 2),
        (PLAIN, None, 2),
        (EMPTY_PASSPHRASE, None, 1),
        (EMPTY_PASSPHRASE, Some(""), 1),
    ] {
        let opened = parse_pkcs12(data, passphrase).unwrap();
        assert_eq!(opened.key, expected.key);
        assert_eq!(opened.chain, expected.chain[..certificates]);
        assert_eq!(opened.authorities, expected.chain[1..certificates]);
        let mut options = ContextOptions::default();
        options.identities = vec![Identity::from(opened)];
        ServerContext::new(options).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_told_as_node_does() {
    for data in [MODERN, RC2, TRIPLE_DES] {
        for passphrase in [None, Some("wrong")] {
            assert_eq!(fault(data, passphrase), Pkcs12Fault::WrongPassphrase);
        }
        for length in 0..data.len() {
            assert_eq!(fault(&data[..length], Some("secret")), Pkcs12Fault::Malformed);
        }
    }
    assert_eq!(fault(b"no DER at all", None), Pkcs12Fault::Malformed);
    assert_eq!(fault(NO_KEY, Some("secret")), Pkcs12Fault::NoKey);
    assert_eq!(fault(NO_CERTIFICATE, Some("secret")), Pkcs12Fault::NoCertificate);
    let error = parse_pkcs12(MODERN, None).unwrap_err();
    assert_eq!(error.to_string(), "mac verify failure");
    assert_eq!(error.code().as_str(), "ERR_CRYPTO_OPERATION_FAILED");
}

#[test]
fn no_changed_byte_makes_a_panic() {
    for position in (0..PLAIN.len()).step_by(3) {
        let mut changed = PLAIN.to_vec();
        changed[position] ^= 0x55;
        let _ = parse_pkcs12(&changed, None);
    }
}

#[test]
fn no_key_is_in_debug_output() {
    let opened = parse_pkcs12(MODERN, Some("secret")).unwrap();
    assert_eq!(format!("{opened:?}"), "Pkcs12 { chain: 2, .. }");
}
