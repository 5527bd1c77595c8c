//! The record layer.

use std::io::{Read, Write};

use offloop_tls::Code;

use crate::certificates::Algorithm;
use crate::pair::{Pair, TLS12, TLS13, client, context};

fn open(versions: &[&'static rustls::SupportedProtocolVersion]) -> Pair {
    Pair::new(client(versions), context(Algorithm::P256)).run()
}

/// What the client would send for `data`.
fn ciphertext(pair: &mut Pair, data: &[u8]) -> Vec<u8> {
    pair.client.set_buffer_limit(None);
    pair.client.writer().write_all(data).unwrap();
    let mut bytes = Vec::new();
    while pair.client.wants_write() {
        pair.client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn data_of_every_size_goes_both_ways() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        pair.client.set_buffer_limit(None);
        for size in [1, 16, 1_000, 16_383, 16_384, 16_385, 100_000, 1_000_000] {
            let data: Vec<u8> = (0..size).map(|number: u32| number.to_le_bytes()[1]).collect();
            let bytes = ciphertext(&mut pair, &data);
            let mut plaintext = Vec::new();
            pair.records().receive(&bytes, &mut plaintext).unwrap();
            assert!(plaintext == data, "up {size}");

            pair.records().seal(&data);
            let mut bytes = Vec::new();
            while pair.records().wants_write() {
                pair.records().write_to(&mut bytes).unwrap();
            }
            let mut back = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                pair.client.read_tls(&mut rest).unwrap();
                pair.client.process_new_packets().unwrap();
                let _ = pair.client.reader().read_to_end(&mut back);
            }
            assert!(back == data, "down {size}");
        }
    }
}

#[test]
fn ciphertext_may_be_cut_anywhere() {
    let mut pair = open(TLS13);
    let bytes = ciphertext(&mut pair, b"some words in one record");
    for (index, byte) in bytes.iter().enumerate() {
        let mut plaintext = Vec::new();
        pair.records().receive(std::slice::from_ref(byte), &mut plaintext).unwrap();
        assert_eq!(plaintext.is_empty(), index + 1 < bytes.len());
    }
}

#[test]
fn a_bad_record_ends_the_connection_but_not_the_data_before_it() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        let mut bytes = ciphertext(&mut pair, b"good");
        let mut bad = ciphertext(&mut pair, b"bad");
        *bad.last_mut().unwrap() ^= 1;
        bytes.extend(bad);
        pair.deliver(&bytes);
        assert_eq!(pair.received, b"good");
        assert_eq!(pair.failure().code().as_str(), "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
        assert_eq!(pair.alert_at_client(), Some(20));
    }
}

#[test]
fn a_failure_stays_the_same() {
    let mut pair = open(TLS13);
    let mut plaintext = Vec::new();
    let code = pair.records().receive(&[0; 5], &mut plaintext).unwrap_err().code();
    assert_eq!(pair.records().receive(&[1; 5], &mut plaintext).unwrap_err().code(), code);
    pair.records().seal(b"nobody reads this");
    assert!(plaintext.is_empty());
}

#[test]
fn close_notify_ends_the_data_and_what_follows_is_ignored() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        let mut bytes = ciphertext(&mut pair, b"last words");
        pair.client.send_close_notify();
        bytes.extend(ciphertext(&mut pair, b""));
        bytes.extend_from_slice(b"junk");
        let mut plaintext = Vec::new();
        let received = pair.records().receive(&bytes, &mut plaintext).unwrap();
        assert!(received.close_notify);
        assert_eq!(plaintext, b"last words");
        // The other direction stays open.
        pair.records().seal(b"answer");
        pair.records().close_notify();
        pair.flush();
        let mut answer = Vec::new();
        pair.client.reader().read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
    }
}

#[test]
fn close_notify_goes_out_once() {
    let mut pair = open(TLS13);
    pair.records().close_notify();
    let mut bytes = Vec::new();
    pair.records().write_to(&mut bytes).unwrap();
    pair.records().close_notify();
    assert!(!pair.records().wants_write());
}

#[test]
fn a_key_update_is_answered() {
    let mut pair = open(TLS13);
    pair.client.refresh_traffic_keys().unwrap();
    pair.pump();
    pair.assert_echo();
    pair.assert_echo();
}

#[test]
fn an_alert_of_the_client_is_its_code() {
    let mut pair = open(TLS13);
    // A record that the client can't open makes it send an alert.
    let mut bad =
        &[0x17, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
    pair.client.read_tls(&mut bad).unwrap();
    pair.client.process_new_packets().unwrap_err();
    pair.pump();
    assert_eq!(pair.failure().code().as_str(), "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC");
}

#[test]
fn an_idle_connection_can_shrink_in_the_middle_of_a_record() {
    let mut pair = open(TLS13);
    let bytes = ciphertext(&mut pair, &[7; 16_000]);
    let mut plaintext = Vec::new();
    for chunk in bytes.chunks(5_000) {
        pair.records().shrink();
        pair.records().receive(chunk, &mut plaintext).unwrap();
        pair.records().shrink();
    }
    assert_eq!(plaintext, [7; 16_000]);
    pair.assert_echo();
}

#[test]
fn no_record_carries_more_than_it_may() {
    for versions in [TLS12, TLS13] {
        // What encryption adds: an explicit nonce in TLS 1.2, the inner type in TLS 1.3; the tag.
        let overhead = if versions == TLS12 { 24 } else { 17 };
        for (size, expected) in [(512, 512), (1_000, 1_000), (1, 512), (100_000, 16_384)] {
            let mut pair = open(versions);
            pair.records().set_max_fragment(size);
            pair.records().seal(&[7; 40_000]);
            let mut bytes = Vec::new();
            while pair.records().wants_write() {
                pair.records().write_to(&mut bytes).unwrap();
            }
            let mut lengths = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let length = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
                lengths.push(length - overhead);
                rest = &rest[5 + length..];
            }
            assert_eq!(lengths.iter().sum::<usize>(), 40_000);
            assert_eq!(lengths.iter().max(), Some(&expected));
        }
    }
}

#[test]
fn both_ends_export_the_same_keying_material() {
    for versions in [TLS12, TLS13] {
        let mut pair = open(versions);
        for context in [None, Some(&b""[..]), Some(&b"context"[..])] {
            let mut ours = [0; 64];
            pair.records().export_keying_material(&mut ours, b"EXPORTER-x", context).unwrap();
            let theirs = pair.client.export_keying_material([0; 64], b"EXPORTER-x", context);
            assert_eq!(theirs.unwrap(), ours);
            assert_ne!(ours, [0; 64]);
        }
        let records = pair.records();
        let code = |length, label: &[u8]| {
            records.export_keying_material(&mut vec![0; length], label, None).unwrap_err().code()
        };
        assert_eq!(code(0, b"x"), Code::InvalidArgument);
        if versions == TLS13 {
            assert_eq!(code(48 * 255 + 1, b"x"), Code::InvalidArgument);
            records.export_keying_material(&mut [0; 10], b"master secret", None).unwrap();
        } else {
            for label in [&b"master secret"[..], b"extended master secret"] {
                assert_eq!(code(10, label), Code::IllegalExporterLabel);
            }
        }
    }
}

#[test]
fn key_updates_with_data_between_them_are_no_flood() {
    let mut pair = open(TLS13);
    for _ in 0..100 {
        pair.client.refresh_traffic_keys().unwrap();
        let bytes = ciphertext(&mut pair, b"data");
        let mut plaintext = Vec::new();
        pair.records().receive(&bytes, &mut plaintext).unwrap();
        assert_eq!(plaintext, b"data");
    }
}
