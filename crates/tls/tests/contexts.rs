//! Contexts: what is refused, and with which code; and the table of names.

use std::time::Duration;

use offloop_tls::{
    CipherSuite, ClientAuth, ContextError, ContextOptions, ContextTable, Group, Identity,
    PrivateKeyDer, ProtocolVersion, ServerContext, Tickets,
};

use crate::certificates::{Algorithm, server};
use crate::pair::context_with;

fn refused(change: impl FnOnce(&mut ContextOptions)) -> ContextError {
    let mut options = ContextOptions::default();
    options.identities = vec![server(Algorithm::P256)];
    change(&mut options);
    ServerContext::new(options).unwrap_err()
}

#[test]
fn an_option_that_cannot_be_honoured_is_refused_with_nodes_code() {
    let mismatch = refused(|options| {
        options.identities[0].key = server(Algorithm::Rsa2048).key;
    });
    assert_eq!(mismatch.code().as_str(), "ERR_OSSL_X509_KEY_VALUES_MISMATCH");

    let unsupported = refused(|options| {
        options.identities[0].key = PrivateKeyDer::Pkcs8(vec![1, 2, 3].into()).into();
    });
    assert_eq!(unsupported.code().as_str(), "ERR_OSSL_UNSUPPORTED");
    assert!(!unsupported.to_string().contains("[1, 2, 3]"));

    let bad = refused(|options| options.identities[0].chain[0] = vec![0x30, 3].into());
    assert_eq!(bad.code().as_str(), "ERR_OSSL_ASN1_NOT_ENOUGH_DATA");

    let bad = refused(|options| {
        let roots = vec![vec![0x30].into()];
        options.client_auth =
            ClientAuth::Request { roots, partial_chain: false, reject_unauthorized: true };
    });
    assert!(matches!(&bad, ContextError::BadCertificate { place, .. } if place == "root 1"));

    assert_eq!(refused(|options| options.identities[0].chain.clear()), ContextError::NoCertificate);
    assert_eq!(
        refused(|options| options.alpn = vec![vec![0; 256]]),
        ContextError::BadAlpn { length: 256 }
    );
    assert_eq!(
        refused(|options| options.alpn = vec![Vec::new()]),
        ContextError::BadAlpn { length: 0 }
    );
    let range = refused(|options| {
        options.min_version = ProtocolVersion::Tls13;
        options.max_version = ProtocolVersion::Tls12;
    });
    assert_eq!(range.code().as_str(), "ERR_TLS_INVALID_PROTOCOL_VERSION");
    let none = refused(|options| {
        options.cipher_suites = Some(vec![CipherSuite::Aes256GcmSha384]);
        options.max_version = ProtocolVersion::Tls12;
    });
    assert_eq!(none, ContextError::NoCipherSuite);
    assert_eq!(none.code().as_str(), "ERR_SSL_NO_CIPHER_MATCH");
    assert_eq!(
        refused(|options| options.signature_schemes = Some(Vec::new())),
        ContextError::NoSignatureScheme
    );
    assert_eq!(
        refused(|options| options.groups = Some(vec![Group::X25519MlKem768])),
        ContextError::NoGroup { version: ProtocolVersion::Tls12 }
    );
    for lifetime in [Duration::ZERO, Duration::from_secs(8 * 86_400)] {
        assert!(matches!(
            refused(|options| options.session_lifetime = lifetime),
            ContextError::BadLifetime { option: "session_lifetime", .. }
        ));
        assert!(matches!(
            refused(|options| options.tickets = Tickets::Rotating { lifetime }),
            ContextError::BadLifetime { option: "tickets.lifetime", .. }
        ));
    }
}

#[test]
fn a_short_rsa_key_is_refused_with_its_length() {
    let element = |tag: u8, contents: &[u8]| {
        let [high, low] = u16::try_from(contents.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low], contents].concat()
    };
    let integer = |contents: &[u8]| element(2, contents);
    let pkcs1 = |modulus: &[u8]| element(0x30, &[integer(&[0]), integer(modulus)].concat());
    let pkcs8 = |modulus: &[u8]| {
        let algorithm = element(0x30, &[6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0]);
        element(0x30, &[integer(&[0]), algorithm, element(4, &pkcs1(modulus))].concat())
    };
    let bits1024 = [&[0, 0xff][..], &[1; 127]].concat();
    let bits2047 = [&[0x7f][..], &[1; 255]].concat();
    for (modulus, bits) in [(bits1024, 1024), (bits2047, 2047)] {
        for key in [
            PrivateKeyDer::Pkcs1(pkcs1(&modulus).into()),
            PrivateKeyDer::Pkcs8(pkcs8(&modulus).into()),
        ] {
            let error = refused(|options| options.identities[0].key = key.into());
            assert_eq!(error.code().as_str(), "ERR_SSL_EE_KEY_TOO_SMALL");
            let expected = format!("expected an RSA key of at least 2048 bits, got one of {bits}");
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn a_pem_text_is_refused_with_nodes_code() {
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    let code = |cert: &str, key: &str| {
        Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err().code().as_str()
    };
    let block =
        |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    assert_eq!(code("x", KEY), "ERR_OSSL_PEM_NO_START_LINE");
    assert_eq!(code("", KEY), "ERR_OSSL_PEM_NO_START_LINE");
    assert_eq!(code(&block("!!!!"), KEY), "ERR_OSSL_PEM_BAD_BASE64_DECODE");
    assert_eq!(code("-----BEGIN CERTIFICATE-----\nMIIB\n", KEY), "ERR_OSSL_PEM_BAD_END_LINE");
    assert_eq!(code(&block("MIIB"), "x"), "ERR_OSSL_UNSUPPORTED");
}

#[test]
fn a_pem_text_with_a_chain_is_read_in_order() {
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, crate::certificates::authority())
        .unwrap();
    let chain = format!("some words\n{}\n{}", leaf.pem(), crate::certificates::authority().pem());
    let identity = Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    assert_eq!(identity.chain.len(), 2);
    assert_eq!(&identity.chain[0], leaf.der());
}

#[test]
fn no_key_is_in_debug_output() {
    let identity = server(Algorithm::P256);
    assert_eq!(format!("{identity:?}"), "Identity { chain: 1, .. }");
}

#[test]
fn names_resolve_as_addcontext_does() {
    // Contexts are told apart by whether they ask for certificates and have an RSA key.
    let plain = context_with(Algorithm::P256, |_| {});
    let asking = context_with(Algorithm::P256, |options| {
        options.client_auth = ClientAuth::Request {
            roots: Vec::new(),
            partial_chain: false,
            reject_unauthorized: false,
        };
    });
    let rsa = context_with(Algorithm::Rsa2048, |_| {});
    let kind = |table: &ContextTable, name: Option<&str>| {
        let context = table.resolve(name).unwrap();
        match (context.requests_client_certificate(), context.has_rsa_key()) {
            (true, _) => "asking",
            (_, true) => "rsa",
            _ => "plain",
        }
    };
    let table = ContextTable::new(plain)
        .with("*.Example.org", asking.clone())
        .with("www.example.org", rsa.clone());
    for (name, expected) in [
        (None, "plain"),
        (Some(""), "plain"),
        (Some("example.org"), "plain"),
        (Some(".example.org"), "asking"),
        (Some("a.b.example.org"), "plain"),
        (Some("A.example.ORG"), "asking"),
        (Some("a.example.org."), "asking"),
        (Some("www.example.org"), "rsa"),
        (Some("WWW.Example.Org"), "rsa"),
        (Some("*.example.org"), "asking"),
    ] {
        assert_eq!(kind(&table, name), expected, "{name:?}");
    }
    // The last one added wins, exact or not, also over its own earlier self.
    let table = table.with("*.example.org", asking.clone());
    assert_eq!(kind(&table, Some("www.example.org")), "asking");
    let table = table.with("www.example.org", rsa.clone()).with("www.example.org", asking);
    assert_eq!(kind(&table, Some("www.example.org")), "asking");
    let mut table = table;
    table.set_default(rsa);
    assert_eq!(kind(&table, None), "rsa");
}

#[test]
fn a_star_stands_for_anything_within_a_label() {
    let context =
        |rsa: bool| context_with(if rsa { Algorithm::Rsa2048 } else { Algorithm::P256 }, |_| {});
    let (plain, rsa) = (context(false), context(true));
    // As the regular expressions of Node's addContext.
    for (pattern, covered, others) in [
        ("*", &["localhost", "x", ""][..], &["a.test", "a.b.test"][..]),
        (
            "a*.test",
            &["a.test", "abc.test", "A-b.TEST"],
            &["ba.test", "a.b.test", "a", "a.testing"],
        ),
        ("*z.test", &["z.test", "zz.test", "xyz.test"], &["zx.test", "x.z.test"]),
        ("a*c.test", &["ac.test", "abc.test", "acc.test"], &["a.test", "a.c.test", "acd.test"]),
        ("*b*.test", &["b.test", "abc.test", "bb.test"], &["ac.test", "a.b.test"]),
        ("a*b*a.test", &["aba.test", "abba.test", "axbxa.test"], &["aa.test", "ab.test"]),
        ("a*a.test", &["aa.test", "aba.test"], &["a.test"]),
        ("*.*.test", &["a.b.test"], &["a.test", "test", "a.b.c.test"]),
        ("*.*", &["a.test"], &["test", "a.b.test"]),
        ("www.*.test", &["www.a.test"], &["www.test", "a.b.test"]),
        ("**.test", &["a.test"], &["test", "a.b.test"]),
        ("*.test", &["a.test"], &["test", "a.b.test"]),
    ] {
        let table = ContextTable::new(plain.clone()).with(pattern, rsa.clone());
        let is_covered = |name: &str| table.resolve(Some(name)).unwrap().has_rsa_key();
        for name in covered {
            assert!(is_covered(name), "{pattern} {name}");
        }
        for name in others {
            assert!(!is_covered(name), "{pattern} {name}");
        }
    }
    // The last one added wins, whatever its kind.
    let names = ["a.test", "*.test", "a*.test", "*.*"];
    for last in names {
        let mut table = ContextTable::new(None);
        for name in names {
            table.add(name, plain.clone());
        }
        table.add(last, rsa.clone());
        assert!(table.resolve(Some("a.test")).unwrap().has_rsa_key(), "{last}");
        table.add(names.into_iter().find(|name| *name != last).unwrap(), plain.clone());
        assert!(!table.resolve(Some("a.test")).unwrap().has_rsa_key(), "{last}");
    }
}
