//! What the server's side of a handshake costs, whole and step by step; the client is rustls in
//! memory and its own work is not counted.
//!
//! `cargo bench --bench handshake`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use offloop_tls::{
    CertificateDer, ClientAuth, ContextOptions, Established, HandshakeLimits, Identity,
    PrivateKeyDer, ServerContext, Step, handshake,
};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, RsaKeySize};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(benches, handshakes);
criterion_main!(benches);

fn handshakes(criterion: &mut Criterion) {
    let ends = Ends::new();
    let mut group = criterion.benchmark_group("handshake");
    group.measurement_time(Duration::from_secs(3)).sample_size(30);
    for (version_name, version) in [("tls13", &version::TLS13), ("tls12", &version::TLS12)] {
        for key in [Key::P256, Key::P384, Key::Ed25519, Key::Rsa2048, Key::Rsa4096] {
            let context = ends.context(key, ClientAuth::None);
            let client = ends.client(version, Resumes::No, Certificate::No);
            bench(&mut group, &format!("{version_name}/{key:?}"), &client, &context);
        }
        let context = ends.context(Key::Rsa2048, ClientAuth::None);
        let client = ends.client(version, Resumes::Yes, Certificate::No);
        bench(&mut group, &format!("{version_name}/resumed"), &client, &context);

        let roots = vec![ends.authority.der().clone()];
        let auth = ClientAuth::Request { roots, partial_chain: false, reject_unauthorized: true };
        let context = ends.context(Key::P256, auth);
        let client = ends.client(version, Resumes::No, Certificate::Yes);
        bench(
            &mut group,
            &format!("{version_name}/P256 with client certificate"),
            &client,
            &context,
        );
    }
    group.finish();
}

/// One bench for the whole, and one for each step of the server.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    client: &Arc<ClientConfig>,
    context: &ServerContext,
) {
    // A client that resumes needs a session first, and in TLS 1.3 another after every second time.
    serve(client, context);
    let resumes = serve(client, context).resumed;
    let serve_alike = || loop {
        let spent = serve(client, context);
        if spent.resumed == resumes {
            break spent;
        }
    };
    type Part = fn(&Spent) -> Duration;
    let parts: [(&str, Part); 4] = [
        ("all", |spent| spent.hello + spent.job + spent.finish),
        ("1 hello", |spent| spent.hello),
        ("2 job", |spent| spent.job),
        ("3 finish", |spent| spent.finish),
    ];
    for (part_name, part) in parts {
        group.bench_function(format!("{name}/{part_name}"), |bencher| {
            bencher
                .iter_custom(|rounds| (0..rounds).map(|_| part(&serve_alike())).sum::<Duration>());
        });
    }
}

/// What the server spent on one handshake.
#[derive(Default)]
struct Spent {
    /// Reading the hello, deciding, choosing.
    hello: Duration,
    /// The jobs.
    job: Duration,
    /// Everything after them on the I/O thread.
    finish: Duration,
    resumed: bool,
}

fn serve(client: &Arc<ClientConfig>, context: &ServerContext) -> Spent {
    let mut client =
        ClientConnection::new(Arc::clone(client), "localhost".try_into().expect("a name"))
            .expect("a client");
    let mut spent = Spent::default();
    let mut flight = Vec::with_capacity(4096);
    client.write_tls(&mut flight).expect("memory");

    let start = Instant::now();
    let mut step = handshake(HandshakeLimits::default()).receive(&flight);
    spent.hello += start.elapsed();
    let established = loop {
        let start = Instant::now();
        step = match step {
            Step::Decide(decide) => {
                let step = decide.accept(context);
                spent.hello += start.elapsed();
                step
            }
            Step::Job(job) => {
                let step = job.run();
                spent.job += start.elapsed();
                step
            }
            Step::Send(outgoing) => {
                let mut bytes = outgoing.bytes();
                client.read_tls(&mut bytes).expect("memory");
                while !bytes.is_empty() {
                    client.read_tls(&mut bytes).expect("memory");
                }
                client.process_new_packets().expect("good answers");
                outgoing.sent()
            }
            Step::NeedBytes(state) => {
                flight.clear();
                while client.wants_write() {
                    client.write_tls(&mut flight).expect("memory");
                }
                let start = Instant::now();
                let step = state.receive(&flight);
                spent.finish += start.elapsed();
                step
            }
            Step::Done(established) => break established,
            Step::Failed(failure) => panic!("{failure}"),
        };
    };
    spent.resumed = established.session.resumed;
    take_tickets(&mut client, *established);
    spent
}

fn take_tickets(client: &mut ClientConnection, mut established: Established) {
    let mut bytes = Vec::with_capacity(1024);
    while established.records.wants_write() {
        established.records.write_to(&mut bytes).expect("memory");
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("memory");
    }
    client.process_new_packets().expect("good tickets");
    black_box(&established.session);
}

#[derive(Clone, Copy, Debug)]
enum Key {
    P256,
    P384,
    Ed25519,
    Rsa2048,
    Rsa4096,
}

#[derive(Clone, Copy)]
enum Resumes {
    Yes,
    No,
}

#[derive(Clone, Copy)]
enum Certificate {
    Yes,
    No,
}

struct Ends {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Ends {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { authority: CertifiedIssuer::self_signed(params, key).expect("a root") }
    }

    fn context(&self, key: Key, client_auth: ClientAuth) -> ServerContext {
        let mut options = ContextOptions::default();
        options.identities = vec![self.identity(key)];
        options.client_auth = client_auth;
        ServerContext::new(options).expect("a context")
    }

    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        resumes: Resumes,
        certificate: Certificate,
    ) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        // The first is used; TLS 1.2 wants the curves of certificates among them.
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots);
        let mut config = match certificate {
            Certificate::No => builder.with_no_client_auth(),
            Certificate::Yes => {
                let identity = self.identity(Key::P256);
                builder
                    .with_client_auth_cert(identity.chain, identity.key.clone_key())
                    .expect("an identity")
            }
        };
        config.resumption = match resumes {
            Resumes::Yes => Resumption::in_memory_sessions(64),
            Resumes::No => Resumption::disabled(),
        };
        config.into()
    }

    fn identity(&self, key: Key) -> Identity {
        let key = match key {
            Key::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Key::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Key::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Key::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Key::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
        }
        .expect("a key");
        let certificate: CertificateDer<'static> =
            CertificateParams::new(vec!["localhost".to_owned()])
                .expect("a name")
                .signed_by(&key, &self.authority)
                .expect("a certificate")
                .into();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Identity { chain: vec![certificate], key: key.into() }
    }
}
