//! What is fuzzed, by the seeded test beside this file and by the cargo-fuzz targets in `fuzz/`:
//! no input may panic, loop, or make the server keep more than it was given.

use std::sync::LazyLock;

use offloop_tls::{
    ClientAuth, ClientHello, ContextOptions, HandshakeLimits, Identity, ServerContext, Step,
    handshake,
};

/// The reader of ClientHellos on a whole handshake message.
pub(crate) fn client_hello(message: &[u8]) {
    let _ = ClientHello::read(message);
}

/// The state machine. The first byte says how the rest is cut and which context answers.
pub(crate) fn state_machine(data: &[u8]) {
    static PLAIN: LazyLock<ServerContext> = LazyLock::new(|| context(ClientAuth::None));
    static ASKING: LazyLock<ServerContext> = LazyLock::new(|| {
        context(ClientAuth::Request {
            roots: Vec::new(),
            partial_chain: false,
            reject_unauthorized: false,
        })
    });
    let Some((&first, data)) = data.split_first() else { return };
    let context = if first & 1 == 0 { &*PLAIN } else { &*ASKING };
    let size = match first >> 1 {
        0 => data.len().max(1),
        size => usize::from(size),
    };
    let mut chunks = data.chunks(size);
    let mut step = Step::NeedBytes(handshake(HandshakeLimits::default()));
    // Each chunk gives a few steps, and what is kept gives one more for each of its records.
    for _ in 0..data.len() * 4 + 16 {
        step = match step {
            Step::NeedBytes(state) => match chunks.next() {
                Some(chunk) => state.receive(chunk),
                None => return,
            },
            Step::Decide(decide) => {
                let _ = (decide.hello().server_name(), decide.hello().offers_ticket());
                decide.accept(context)
            }
            Step::Job(job) => job.run(),
            Step::Send(outgoing) => {
                assert!(!outgoing.bytes().is_empty());
                outgoing.sent()
            }
            Step::Done(mut established) => {
                let mut plaintext = Vec::new();
                for chunk in chunks.by_ref() {
                    if established.records.receive(chunk, &mut plaintext).is_err() {
                        return;
                    }
                }
                return;
            }
            Step::Failed(failure) => {
                assert!(!failure.detail().is_empty());
                return;
            }
        };
    }
    panic!("the state machine goes round in circles");
}

fn context(client_auth: ClientAuth) -> ServerContext {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = offloop_tls::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut options = ContextOptions::default();
    options.identities = vec![Identity { chain: vec![certificate.der().clone()], key: key.into() }];
    options.client_auth = client_auth;
    ServerContext::new(options).unwrap()
}
