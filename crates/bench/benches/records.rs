//! The record layer in memory: sealing and opening, 16 bytes to 64 KiB at a time.
//!
//! `cargo bench --bench records`

use std::io::{self, IoSlice, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use offloop_tls::{
    ContextOptions, HandshakeLimits, Identity, PrivateKeyDer, Records, ServerContext, Step,
    handshake,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, records);
criterion_main!(benches);

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    for size in [16, 1024, 16 * 1024, 64 * 1024] {
        let data = vec![0x5a; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("seal", size), &data, |bencher, data| {
            let (_client, mut records) = connected();
            let mut sink = Sink;
            bencher.iter(|| {
                records.seal(data);
                while records.wants_write() {
                    records.write_to(&mut sink).expect("a sink");
                }
            });
        });
        group.bench_with_input(BenchmarkId::new("open", size), &data, |bencher, data| {
            let (mut client, mut records) = connected();
            let mut ciphertext = Vec::with_capacity(2 * size + 64);
            let mut plaintext = Vec::with_capacity(size);
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    ciphertext.clear();
                    plaintext.clear();
                    client.writer().write_all(data).expect("memory");
                    while client.wants_write() {
                        client.write_tls(&mut ciphertext).expect("memory");
                    }
                    let start = Instant::now();
                    records.receive(&ciphertext, &mut plaintext).expect("good records");
                    spent += start.elapsed();
                    assert_eq!(plaintext.len(), size);
                }
                spent
            });
        });
    }
    group.finish();
}

/// Takes all at once, as a socket with room does.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(pieces.iter().map(|piece| piece.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connected() -> (ClientConnection, Records) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key)
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(client.into(), "localhost".try_into().expect("a name"))
        .expect("a client");
    client.set_buffer_limit(None);

    let mut options = ContextOptions::default();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    options.identities = vec![Identity { chain: vec![certificate.der().clone()], key: key.into() }];
    let context = ServerContext::new(options).expect("a context");
    let mut step = Step::NeedBytes(handshake(HandshakeLimits::default()));
    let mut records = loop {
        step = match step {
            Step::NeedBytes(state) => {
                let mut flight = Vec::new();
                client.write_tls(&mut flight).expect("memory");
                state.receive(&flight)
            }
            Step::Decide(decide) => decide.accept(&context),
            Step::Job(job) => job.run(),
            Step::Send(outgoing) => {
                feed(&mut client, outgoing.bytes());
                outgoing.sent()
            }
            Step::Done(established) => break established.records,
            Step::Failed(failure) => panic!("{failure}"),
        };
    };
    let mut tickets = Vec::new();
    records.write_to(&mut tickets).expect("memory");
    feed(&mut client, &tickets);
    (client, records)
}

fn feed(client: &mut ClientConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("memory");
        client.process_new_packets().expect("good records");
    }
}
