//! Seeded fuzzing on the stable toolchain: real flights, changed at random.
//!
//! `OFFLOOP_FUZZ_SECONDS` is the time budget of each test (default 1; CI takes 60),
//! `OFFLOOP_FUZZ_SEED` the seed (default 1). A failure prints the seed and the round.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a fuzzer's figures are its result")]

use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs::{self, kx_group};

use crate::certificates::{Algorithm, client as client_identity};
use crate::pair::{
    BOTH, Pair, Server, TLS12, TLS13, client, client_of, client_with_certificate, context_with,
};
use crate::{certificates, fuzz_entries, fuzz_records};

#[test]
fn the_hello_reader_survives_changed_hellos() {
    let seeds: Vec<Vec<u8>> = flights().into_iter().map(|flight| flight[5..].to_vec()).collect();
    rounds(|random| fuzz_entries::client_hello(&random.changed(&seeds)));
}

#[test]
fn the_state_machine_survives_changed_flights() {
    let seeds: Vec<Vec<u8>> = flights();
    rounds(|random| {
        let mut data = vec![random.byte()];
        data.extend(random.changed(&seeds));
        fuzz_entries::state_machine(&data);
    });
}

#[test]
fn the_record_path_survives_any_script() {
    rounds(|random| {
        let script: Vec<u8> = (0..random.below(80)).map(|_| random.byte()).collect();
        fuzz_records::record_path(&script);
    });
}

/// Found by libFuzzer: inputs that reach every branch which it has reached.
#[test]
fn the_seeds_of_the_fuzzers_are_survived() {
    let run = |name: &str, target: fn(&[u8])| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/");
        let seeds = std::fs::read_dir(format!("{folder}{name}")).unwrap();
        let seeds = seeds.map(|seed| target(&std::fs::read(seed.unwrap().path()).unwrap()));
        assert!(seeds.count() > 10);
    };
    run("client_hello", fuzz_entries::client_hello);
    run("state_machine", fuzz_entries::state_machine);
    run("record_path", fuzz_records::record_path);
}

/// The client is alive here, so that its second flight decrypts wherever it wasn't changed.
#[test]
fn a_live_handshake_survives_changed_flights() {
    let contexts = [
        context_with(Algorithm::P256, |_| {}),
        context_with(Algorithm::P256, |options| {
            options.groups = Some(vec![offloop_tls::Group::P384]);
        }),
        context_with(Algorithm::P256, |options| {
            let roots = vec![certificates::authority().der().clone()];
            options.client_auth = offloop_tls::ClientAuth::Request {
                roots,
                partial_chain: false,
                reject_unauthorized: true,
            };
        }),
    ];
    let clients = [
        client(TLS12),
        client(TLS13),
        client_with_certificate(TLS12, client_identity()),
        client_with_certificate(TLS13, client_identity()),
    ];
    rounds(|random| {
        let context = random.pick(&contexts).clone();
        let mut pair = Pair::new(random.pick(&clients).clone(), context);
        for _ in 0..6 {
            let mut flight = Vec::new();
            while pair.client.wants_write() {
                pair.client.write_tls(&mut flight).unwrap();
            }
            if flight.is_empty() {
                break;
            }
            // Mostly the second flight and later ones: the first is changed above.
            if random.below(3) > 0 && !pair.from_client.is_empty() {
                flight = random.changed(&[flight]);
            }
            pair.deliver(&flight);
            if let Server::Failed(failure) = &pair.server {
                assert!(!failure.detail().is_empty());
                break;
            }
        }
    });
}

/// The first and the second flight of clients of every kind.
fn flights() -> Vec<Vec<u8>> {
    let mut retrying = aws_lc_rs::default_provider();
    retrying.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::SECP384R1];
    let mut with_alpn = client(BOTH);
    with_alpn.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let clients = [
        client(TLS12),
        client(TLS13),
        with_alpn,
        client_of(retrying, TLS13, None),
        client_with_certificate(TLS12, client_identity()),
    ];
    let context = context_with(Algorithm::P256, |options| {
        options.client_auth = offloop_tls::ClientAuth::Request {
            roots: Vec::new(),
            partial_chain: false,
            reject_unauthorized: false,
        };
    });
    clients.map(|client| Pair::new(client, context.clone()).run().from_client).to_vec()
}

fn rounds(mut round: impl FnMut(&mut Random)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seconds = number("OFFLOOP_FUZZ_SECONDS").unwrap_or(1);
    let seed = number("OFFLOOP_FUZZ_SEED").unwrap_or(1);
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        let _told = ToldOnPanic { seed, count };
        round(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (count + 1)));
        count += 1;
    }
    println!("{count} rounds in {seconds} s with seed {seed}");
}

struct ToldOnPanic {
    seed: u64,
    count: u64,
}

impl Drop for ToldOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with OFFLOOP_FUZZ_SEED={} in round {}", self.seed, self.count);
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of `seeds`, changed a few times: bytes, lengths, cuts, copies, splices.
    fn changed(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(seeds).clone();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let position = self.below(bytes.len());
            match self.below(8) {
                0 => bytes[position] = self.byte(),
                1 => bytes[position] ^= 1 << self.below(8),
                2 => bytes[position] = *self.pick(&[0, 1, 127, 128, 255]),
                3 => bytes.truncate(position),
                4 => bytes.insert(position, self.byte()),
                5 => {
                    let end = bytes.len().min(position + 1 + self.below(64));
                    bytes.drain(position..end);
                }
                6 => {
                    let end = bytes.len().min(position + 1 + self.below(64));
                    bytes.extend_from_within(position..end);
                }
                _ => {
                    let other = self.pick(seeds);
                    let tail = &other[self.below(other.len())..];
                    bytes.truncate(position);
                    bytes.extend_from_slice(tail);
                }
            }
        }
        bytes
    }
}
