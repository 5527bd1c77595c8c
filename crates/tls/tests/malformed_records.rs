//! Records and encrypted messages that are malformed: the alert is the one that the RFC names.

use offloop_tls::{Alert, Code};
use rustls::{ContentType, SupportedProtocolVersion};

use crate::certificates::Algorithm;
use crate::pair::{BOTH, Pair, Server, TLS12, TLS13, client, context};
use crate::raw_client::{Change, raw_client, record};

const UNEXPECTED_MESSAGE: u8 = 10;
const RECORD_OVERFLOW: u8 = 22;
const DECODE_ERROR: u8 = 50;

type Versions = &'static [&'static SupportedProtocolVersion];

fn open(versions: Versions) -> Pair {
    Pair::new(raw_client(versions, |_| {}), context(Algorithm::P256)).run()
}

/// A server that has answered a ClientHello, and a client that has not read it.
fn answered(versions: Versions) -> Pair {
    let mut pair = Pair::new(client(versions), context(Algorithm::P256));
    let mut hello = Vec::new();
    pair.client.write_tls(&mut hello).unwrap();
    pair.deliver(&hello);
    pair
}

fn assert_ended(pair: &Pair, code: Code, alert: u8, what: &str) {
    assert_eq!(pair.failure().code(), code, "{what}");
    assert_eq!(pair.failure().alert().map(Alert::number), Some(alert), "{what}");
    assert_eq!(pair.alert_at_client(), Some(alert), "{what}");
}

#[test]
fn headers_that_no_record_has_end_an_open_connection() {
    let cases: &[(Versions, &[u8], Code, u8, &str)] = &[
        (TLS12, &[24, 3, 3, 0, 30], Code::BadRecordType, UNEXPECTED_MESSAGE, "a heartbeat"),
        (TLS13, &[24, 3, 3, 0, 30], Code::BadRecordType, UNEXPECTED_MESSAGE, "a heartbeat"),
        (TLS13, &[22, 3, 3, 0, 30], Code::UnexpectedMessage, UNEXPECTED_MESSAGE, "plaintext"),
        (TLS12, &[23, 3, 3, 72, 1], Code::PacketLengthTooLong, RECORD_OVERFLOW, "18,433 bytes"),
        (TLS13, &[23, 3, 3, 65, 1], Code::PacketLengthTooLong, RECORD_OVERFLOW, "16,641 bytes"),
    ];
    for (versions, header, code, alert, what) in cases {
        // Cut in the middle of the header too.
        for cut in 0..header.len() {
            let mut pair = open(versions);
            pair.deliver(&header[..cut]);
            pair.records();
            pair.deliver(&header[cut..]);
            assert_ended(&pair, *code, *alert, what);
        }
    }
}

#[test]
fn headers_that_no_record_has_end_a_handshake() {
    let whole = |header: &[u8]| [header, &vec![0; 16_641]].concat();
    let cases: &[(Versions, Vec<u8>, Code, u8, &str)] = &[
        (TLS12, vec![24, 3, 3, 0, 30], Code::BadRecordType, UNEXPECTED_MESSAGE, "a heartbeat"),
        (TLS13, vec![24, 3, 3, 0, 30], Code::BadRecordType, UNEXPECTED_MESSAGE, "a heartbeat"),
        (TLS12, vec![22, 3, 3, 72, 1], Code::PacketLengthTooLong, RECORD_OVERFLOW, "18,433"),
        (TLS13, whole(&[23, 3, 3, 65, 1]), Code::PacketLengthTooLong, RECORD_OVERFLOW, "16,641"),
        (TLS12, vec![20, 3, 3, 0, 2, 1, 1], Code::UnexpectedMessage, UNEXPECTED_MESSAGE, "CCS"),
        (TLS13, vec![20, 3, 3, 0, 2, 1, 1], Code::UnexpectedMessage, UNEXPECTED_MESSAGE, "CCS"),
        (
            TLS13,
            vec![22, 3, 3, 0, 4, 20, 0, 0, 0],
            Code::UnexpectedMessage,
            UNEXPECTED_MESSAGE,
            "a Finished that is not encrypted",
        ),
    ];
    for (versions, bytes, code, alert, what) in cases {
        let mut pair = answered(versions);
        pair.deliver(bytes);
        assert_ended(&pair, *code, *alert, what);
    }
}

#[test]
fn handshake_messages_and_alerts_are_never_empty() {
    for versions in [TLS12, TLS13] {
        for content_type in [ContentType::Handshake, ContentType::Alert] {
            let mut pair = open(versions);
            record(&mut pair, content_type, &[]);
            pair.pump();
            let what = format!("{content_type:?}");
            assert_ended(&pair, Code::UnexpectedMessage, UNEXPECTED_MESSAGE, &what);
        }
    }
}

#[test]
fn a_finished_has_the_length_of_its_hash() {
    let cases: &[(&str, Change)] = &[
        ("shorter", |message| {
            message.pop();
            message[3] -= 1;
        }),
        ("longer", |message| {
            message.push(0);
            message[3] += 1;
        }),
        ("empty", |message| {
            message.truncate(4);
            message[3] = 0;
        }),
    ];
    for versions in [TLS12, TLS13] {
        for (what, change) in cases {
            let pair = Pair::new(raw_client(versions, *change), context(Algorithm::P256)).run();
            assert_ended(&pair, Code::LengthMismatch, DECODE_ERROR, what);
        }
        let wrong: Change = |message| message[4] ^= 1;
        let pair = Pair::new(raw_client(versions, wrong), context(Algorithm::P256)).run();
        assert_eq!(pair.alert_at_client(), Some(51), "of the right length it is decrypt_error");
    }
}

#[test]
fn early_data_for_a_ticket_of_another_server_is_skipped_up_to_a_bound() {
    let mut pair = Pair::new(client(BOTH), context(Algorithm::P256));
    let mut hello = Vec::new();
    pair.client.write_tls(&mut hello).unwrap();
    pair.deliver(&offering_early_data(hello));
    // Sealed with keys that this server has not.
    let mut early = [&[23, 3, 3, 4, 17][..], &[7; 1024 + 17]].concat();
    for _ in 0..16 {
        pair.deliver(&early);
        assert!(matches!(pair.server, Server::Shaking(_)), "{:?}", pair.server);
    }
    early.extend_from_within(..);
    pair.deliver(&early);
    pair.failure();
}

/// The ClientHello with the extension early_data, as its last.
fn offering_early_data(mut hello: Vec<u8>) -> Vec<u8> {
    const SESSION_ID: usize = 5 + 4 + 2 + 32;
    let add = |hello: &mut [u8], at: usize| {
        let length = u16::from_be_bytes([hello[at], hello[at + 1]]);
        hello[at..at + 2].copy_from_slice(&(length + 4).to_be_bytes());
    };
    let suites = SESSION_ID + 1 + usize::from(hello[SESSION_ID]);
    let compression =
        suites + 2 + usize::from(hello[suites]) * 256 + usize::from(hello[suites + 1]);
    let extensions = compression + 1 + usize::from(hello[compression]);
    // Of the record, the message and the list.
    for at in [3, 7, extensions] {
        add(&mut hello, at);
    }
    hello.extend([0, 42, 0, 0]);
    hello
}
