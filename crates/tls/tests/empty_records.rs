//! Records without data, of every kind and in every order.

use offloop_tls::Code;
use rustls::{ContentType, SupportedProtocolVersion};

use crate::certificates::Algorithm;
use crate::pair::{Pair, TLS12, TLS13, context};
use crate::raw_client::{raw_client, record};

/// Makes the client send one record.
type Send = fn(&mut Pair);

const EMPTY: Send = |pair| record(pair, ContentType::ApplicationData, &[]);
const DATA: Send = |pair| record(pair, ContentType::ApplicationData, b"data");
const KEY_UPDATE: Send = |pair| pair.client.refresh_traffic_keys().unwrap();
/// Of a handshake message of 256 bytes.
const PIECE: Send = |pair| record(pair, ContentType::Handshake, &[1, 0]);
const WARNING: Send = |pair| record(pair, ContentType::Alert, &[1, 90]);
const RENEGOTIATION: Send = |pair| record(pair, ContentType::Handshake, CLIENT_HELLO);

const UNEXPECTED_MESSAGE: u8 = 10;
const MOST: usize = 32;

fn open(versions: &[&'static SupportedProtocolVersion]) -> Pair {
    Pair::new(raw_client(versions, |_| {}), context(Algorithm::P256)).run()
}

/// So many records, of these kinds in turn.
fn send(pair: &mut Pair, kinds: &[Send], records: usize) {
    for kind in kinds.iter().cycle().take(records) {
        kind(pair);
    }
    pair.pump();
}

#[test]
fn as_many_as_the_limit_are_taken_and_data_starts_anew() {
    let cases: &[(_, &[Send])] = &[
        (TLS12, &[EMPTY]),
        (TLS13, &[EMPTY]),
        (TLS13, &[KEY_UPDATE]),
        (TLS13, &[EMPTY, KEY_UPDATE]),
        (TLS13, &[KEY_UPDATE, KEY_UPDATE, EMPTY]),
    ];
    for (versions, kinds) in cases {
        let mut pair = open(versions);
        for _ in 0..10 {
            send(&mut pair, kinds, MOST);
            send(&mut pair, &[DATA], 1);
        }
        assert_eq!(pair.received, b"data".repeat(10));
        pair.records();
    }
}

#[test]
fn one_more_ends_the_connection_by_an_alert() {
    let cases: &[(_, &[Send])] = &[
        (TLS12, &[EMPTY]),
        (TLS12, &[PIECE]),
        (TLS12, &[EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, WARNING]),
        (TLS13, &[EMPTY]),
        (TLS13, &[KEY_UPDATE]),
        (TLS13, &[EMPTY, KEY_UPDATE]),
        (TLS13, &[PIECE]),
        (TLS13, &[KEY_UPDATE, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, WARNING]),
    ];
    for (index, (versions, kinds)) in cases.iter().enumerate() {
        let mut pair = open(versions);
        send(&mut pair, &[DATA], 1);
        send(&mut pair, kinds, MOST);
        assert_eq!(pair.alert_at_client(), None, "{index}");
        pair.records();
        send(&mut pair, &kinds[MOST % kinds.len()..], 1);
        assert_eq!(pair.failure().code(), Code::EmptyRecords, "{index}");
        assert_eq!(pair.alert_at_client(), Some(UNEXPECTED_MESSAGE), "{index}");
        assert_eq!(pair.received, b"data", "{index}");
    }
}

#[test]
fn the_limit_can_be_lower() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        pair.records().set_max_empty(2);
        for _ in 0..10 {
            send(&mut pair, &[EMPTY, EMPTY, DATA], 3);
        }
        send(&mut pair, &[EMPTY], 3);
        assert_eq!(pair.failure().code(), Code::EmptyRecords);
        assert_eq!(pair.failure().to_string(), "more than 2 records in a row carry no data");
        assert_eq!(pair.alert_at_client(), Some(UNEXPECTED_MESSAGE));
    }
}

#[test]
fn a_connection_that_has_ended_takes_no_more_data() {
    let mut pair = open(TLS13);
    send(&mut pair, &[EMPTY], MOST);
    EMPTY(&mut pair);
    DATA(&mut pair);
    let mut bytes = Vec::new();
    pair.client.write_tls(&mut bytes).unwrap();
    let mut plaintext = Vec::new();
    for piece in [&bytes[..], &[]] {
        let failure = pair.records().receive(piece, &mut plaintext).unwrap_err();
        assert_eq!(failure.code(), Code::EmptyRecords);
    }
    assert!(plaintext.is_empty());
}

#[test]
fn what_rustls_bounds_for_a_whole_connection_ends_it_by_an_alert() {
    let cases: &[(_, Send, _, _)] = &[
        (TLS12, WARNING, 4, Code::TooManyWarnAlerts),
        (TLS13, WARNING, 4, Code::TooManyWarnAlerts),
        (TLS12, RENEGOTIATION, 1, Code::NoRenegotiation),
    ];
    for &(versions, kind, most, code) in cases {
        let mut pair = open(versions);
        send(&mut pair, &[kind, DATA], 2 * most);
        assert_eq!(pair.received, b"data".repeat(most), "{code}");
        send(&mut pair, &[kind], 1);
        assert_eq!(pair.failure().code(), code);
        assert_eq!(pair.alert_at_client(), Some(UNEXPECTED_MESSAGE), "{code}");
    }
}

#[test]
fn data_between_pieces_of_a_handshake_message_ends_the_connection_by_an_alert() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        send(&mut pair, &[PIECE, DATA], 2);
        assert_eq!(pair.failure().code(), Code::UnexpectedMessage);
        assert_eq!(pair.alert_at_client(), Some(UNEXPECTED_MESSAGE));
        assert_eq!(pair.received, b"");
    }
}

/// As short as rustls parses one: no session, one suite, null compression.
const CLIENT_HELLO: &[u8] = &{
    let mut hello = [0; 4 + 41];
    hello[0] = 1;
    hello[3] = 41;
    hello[4] = 3;
    hello[5] = 3;
    hello[40] = 2;
    hello[41] = 0xc0;
    hello[42] = 0x2b;
    hello[43] = 1;
    hello
};
