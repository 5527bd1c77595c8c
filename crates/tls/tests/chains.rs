//! Which chains of clients verify, and why others don't. Verdicts and codes are those of node:tls
//! (Node 20); those with `partial_chain` are of `openssl verify -partial_chain` (OpenSSL 3.0).

use offloop_tls::{ClientAuth, Code, ServerContext};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, date_time_ymd,
};

use crate::certificate_tree::{Member, expired};
use crate::certificates::Algorithm;
use crate::pair::{Pair, TLS12, TLS13, client_with_certificate, context_with};

fn context(ca: &[&Member], partial_chain: bool, reject_unauthorized: bool) -> ServerContext {
    context_with(Algorithm::P256, |options| {
        let roots = ca.iter().map(|member| member.certificate()).collect();
        options.client_auth = ClientAuth::Request { roots, partial_chain, reject_unauthorized };
    })
}

/// What a server with these certificates says of a client that sends this chain.
fn verdict(ca: &[&Member], chain: &[&Member], partial_chain: bool) -> &'static str {
    let identity = || chain[0].identity(&chain[1..]);
    let mut verdicts = [TLS12, TLS13].map(|versions| {
        let lax = context(ca, partial_chain, false);
        let pair = Pair::new(client_with_certificate(versions, identity()), lax).run();
        let verdict = pair.session().authorization_error.map_or("good", Code::as_str);
        let strict = context(ca, partial_chain, true);
        let pair = Pair::new(client_with_certificate(versions, identity()), strict).run();
        match verdict {
            "good" => assert!(pair.session().authorized),
            code => assert_eq!(pair.failure().code().as_str(), code),
        }
        verdict
    });
    verdicts.sort_unstable();
    assert_eq!(verdicts[0], verdicts[1]);
    verdicts[0]
}

type Change = fn(&mut CertificateParams);

fn unchanged(_: &mut CertificateParams) {}

fn no_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::ExplicitNoCa;
}

fn for_servers(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

fn for_signatures(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
}

fn with_key_identifier(params: &mut CertificateParams) {
    params.use_authority_key_identifier_extension = true;
}

#[test]
fn a_chain_must_end_at_a_root_unless_partial_ones_are_allowed() {
    let root = &Member::root("root", unchanged);
    let one = &root.authority("one", unchanged);
    let two = &one.authority("two", unchanged);
    let (client, of_one, of_two) =
        (&root.client(unchanged), &one.client(unchanged), &two.client(unchanged));
    let elsewhere = &Member::root("elsewhere", unchanged);
    let cases: &[(&[&Member], &[&Member], &str, &str)] = &[
        (&[root], &[of_one, one], "good", "good"),
        (&[root, one], &[of_one], "good", "good"),
        (&[one, root], &[of_one], "good", "good"),
        (&[root, one, two], &[of_two], "good", "good"),
        (&[root], &[of_one], "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        (&[one], &[of_one], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[one], &[of_one, one], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[one], &[of_one, one, root], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[one], &[of_two, two], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[one, two], &[of_two], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[of_one], &[of_one], "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "good"),
        (&[of_one, one], &[of_one], "UNABLE_TO_GET_ISSUER_CERT", "good"),
        (&[client], &[client], "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "good"),
        (
            &[elsewhere],
            &[of_one, one],
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        ),
        (
            &[elsewhere],
            &[of_one, one, root],
            "SELF_SIGNED_CERT_IN_CHAIN",
            "SELF_SIGNED_CERT_IN_CHAIN",
        ),
        (
            &[elsewhere],
            &[of_one, of_two],
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        ),
        (&[], &[of_one], "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
    ];
    for (index, (ca, chain, whole, partial)) in cases.iter().enumerate() {
        assert_eq!(verdict(ca, chain, false), *whole, "case {index}");
        assert_eq!(verdict(ca, chain, true), *partial, "case {index}, partial");
    }
}

#[test]
fn names_that_go_in_circles_end() {
    let one = &Member::root("one", unchanged);
    let two = &one.authority("two", unchanged);
    let circle = &two.authority("one", unchanged);
    let client = &circle.client(unchanged);
    let verdict = verdict(&[&Member::root("elsewhere", unchanged)], &[client, circle, two], false);
    assert_eq!(verdict, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
}

#[test]
fn a_trusted_certificate_is_checked_too() {
    let limited = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    };
    let cases: [(&str, Change, &str); 5] = [
        ("expired", expired, "CERT_HAS_EXPIRED"),
        ("future", |params| params.not_before = date_time_ymd(2200, 1, 1), "CERT_NOT_YET_VALID"),
        ("no authority", no_authority, "INVALID_PURPOSE"),
        ("of servers", for_servers, "INVALID_PURPOSE"),
        // Node says UNSPECIFIED of this one.
        ("signs no certificates", for_signatures, "INVALID_PURPOSE"),
    ];
    for (name, change, code) in cases {
        let root = &Member::root("root", change);
        assert_eq!(verdict(&[root], &[&root.client(unchanged)], false), code, "root: {name}");
        let root = &Member::root("root", unchanged);
        let below = &root.authority("below", change);
        let client = &below.client(unchanged);
        assert_eq!(verdict(&[root], &[client, below], false), code, "sent: {name}");
        assert_eq!(verdict(&[root, below], &[client], false), code, "known: {name}");
        assert_eq!(verdict(&[below], &[client], true), code, "partial: {name}");
    }
    let root = &Member::root("root", limited);
    let below = &root.authority("below", unchanged);
    assert_eq!(verdict(&[root], &[&root.client(unchanged)], false), "good");
    let client = &below.client(unchanged);
    assert_eq!(verdict(&[root], &[client, below], false), "PATH_LENGTH_EXCEEDED");
}

#[test]
fn an_expired_root_does_no_harm_beside_its_successor() {
    let old = Member::root("root", expired);
    let new = old.renewed("root");
    let client = &old.client(unchanged);
    assert_eq!(verdict(&[&old], &[client], false), "CERT_HAS_EXPIRED");
    assert_eq!(verdict(&[&old, &new], &[client], false), "good");
    assert_eq!(verdict(&[&new, &old], &[client], false), "good");
}

#[test]
fn what_a_clients_certificate_says_of_its_use_counts() {
    let root = &Member::root("root", unchanged);
    let use_of = |uses: &[KeyUsagePurpose]| {
        let uses = uses.to_vec();
        root.client(|params| params.key_usages = uses)
    };
    use KeyUsagePurpose as K;
    let critical = |params: &mut CertificateParams| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions = vec![unknown];
    };
    let any_authority = root.authority("client", unchanged);
    for (name, client, expected) in [
        ("signs", use_of(&[K::DigitalSignature]), "good"),
        ("agrees", use_of(&[K::KeyAgreement]), "good"),
        ("encrypts", use_of(&[K::KeyEncipherment]), "INVALID_PURPOSE"),
        ("signs certificates", use_of(&[K::KeyCertSign]), "INVALID_PURPOSE"),
        ("servers", root.client(for_servers), "INVALID_PURPOSE"),
        ("an authority", any_authority, "good"),
        ("unknown and critical", root.client(critical), "UNSPECIFIED"),
    ] {
        assert_eq!(verdict(&[root], &[&client], false), expected, "{name}");
    }
}

#[test]
fn a_root_stands_for_itself() {
    let cases: [(&str, Change, &str, &str); 5] = [
        ("authority", unchanged, "good", "DEPTH_ZERO_SELF_SIGNED_CERT"),
        ("no authority", no_authority, "good", "DEPTH_ZERO_SELF_SIGNED_CERT"),
        ("signs", for_signatures, "good", "DEPTH_ZERO_SELF_SIGNED_CERT"),
        ("expired", expired, "CERT_HAS_EXPIRED", "CERT_HAS_EXPIRED"),
        ("servers", for_servers, "INVALID_PURPOSE", "INVALID_PURPOSE"),
    ];
    let other = &Member::root("other", unchanged);
    for (name, change, known, unknown) in cases {
        let root = &Member::root("root", change);
        assert_eq!(verdict(&[root], &[root], false), known, "{name}");
        assert_eq!(verdict(&[other], &[root], false), unknown, "{name}");
    }
}

#[test]
fn an_issuers_name_without_its_key_is_not_enough() {
    let root = &Member::root("root", unchanged);
    let impostor = &Member::root("root", unchanged);
    for (change, alone, with_root) in [
        (unchanged as Change, "CERT_SIGNATURE_FAILURE", "CERT_SIGNATURE_FAILURE"),
        (with_key_identifier, "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "SELF_SIGNED_CERT_IN_CHAIN"),
    ] {
        let client = &impostor.client(change);
        assert_eq!(verdict(&[root], &[client], false), alone);
        assert_eq!(verdict(&[root], &[client, impostor], false), with_root);
        assert_eq!(verdict(&[root, impostor], &[client], false), "good");
    }
    // One that passes a name on to a new key has not signed itself.
    let link = &root.authority("root", with_key_identifier);
    assert_ne!(verdict(&[link], &[&link.client(with_key_identifier)], false), "good");
}

#[test]
fn a_client_of_version_1_verifies_as_one_of_version_3() {
    let root = &Member::root("root", unchanged);
    let elsewhere = &Member::root("elsewhere", unchanged);
    let old_root = &Member::root("old root", unchanged).version1(None);
    let impostor = &Member::root("root", unchanged);
    let one = &root.authority("one", unchanged);
    let two = &one.authority("two", unchanged);
    let old_one = &root.authority("old one", unchanged).version1(Some(root));
    let client = |issuer: &Member| issuer.client(unchanged).version1(Some(issuer));
    let expired_client = &root.client(expired).version1(Some(root));
    let future_client =
        &root.client(|params| params.not_before = date_time_ymd(2200, 1, 1)).version1(Some(root));
    let (of_root, of_one, of_two) = (&client(root), &client(one), &client(two));
    let myself = &Member::root("myself", unchanged).version1(None);
    let cases: &[(&str, &[&Member], &[&Member], &str)] = &[
        ("of a root", &[root], &[of_root], "good"),
        ("over an authority", &[root], &[of_one, one], "good"),
        ("over two", &[root], &[of_two, two, one], "good"),
        ("over a known one", &[root, one], &[of_one], "good"),
        ("of an old root", &[old_root], &[&client(old_root)], "good"),
        ("not partial", &[one], &[of_one], "UNABLE_TO_GET_ISSUER_CERT"),
        ("expired", &[root], &[expired_client], "CERT_HAS_EXPIRED"),
        ("future", &[root], &[future_client], "CERT_NOT_YET_VALID"),
        ("forged", &[root], &[&client(impostor)], "CERT_SIGNATURE_FAILURE"),
        ("unknown", &[elsewhere], &[of_root], "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        ("unknown root", &[elsewhere], &[of_root, root], "SELF_SIGNED_CERT_IN_CHAIN"),
        ("old root", &[elsewhere], &[&client(old_root), old_root], "SELF_SIGNED_CERT_IN_CHAIN"),
        ("unknown link", &[elsewhere], &[of_one, one], "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"),
        ("no link", &[root], &[of_one], "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        ("among the known", &[of_root], &[of_root], "UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        ("old authority", &[root], &[&old_one.client(unchanged), old_one], "INVALID_PURPOSE"),
        ("known old authority", &[root, old_one], &[&client(old_one)], "INVALID_PURPOSE"),
        ("itself", &[myself], &[myself], "good"),
        ("itself, unknown", &[root], &[myself], "DEPTH_ZERO_SELF_SIGNED_CERT"),
    ];
    for (name, ca, chain, expected) in cases {
        assert_eq!(verdict(ca, chain, false), *expected, "{name}");
    }
    assert_eq!(verdict(&[one], &[of_one], true), "good");
    assert_eq!(verdict(&[of_root], &[of_root], true), "good");
    assert_eq!(verdict(&[old_one], &[&client(old_one)], true), "INVALID_PURPOSE");
    // A version 3 client of a version 1 root.
    assert_eq!(verdict(&[old_root], &[&old_root.client(unchanged)], false), "good");
}
