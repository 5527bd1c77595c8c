//! What a client may cost before its ClientHello is whole.

use offloop_tls::{Code, Failure, HandshakeLimits, Step, handshake};

use crate::certificates::Algorithm;
use crate::pair::{TLS13, client, context};

/// The handshake message of a real client's hello.
fn hello() -> Vec<u8> {
    hello_record()[5..].to_vec()
}

fn hello_record() -> Vec<u8> {
    let mut config = client(TLS13);
    // Something that makes it larger than one small record.
    config.alpn_protocols = (0..20).map(|number| vec![number; 200]).collect();
    let mut client =
        rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// `message` in records of `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|chunk| {
            let [high, low] = u16::try_from(chunk.len()).unwrap().to_be_bytes();
            [&[22, 3, 1, high, low], chunk].concat()
        })
        .collect()
}

fn receive(bytes: &[u8], client_hello: usize) -> Step {
    handshake(HandshakeLimits { client_hello }).receive(bytes)
}

fn failure(step: Step) -> Failure {
    match step {
        Step::Failed(failure) => failure,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[test]
fn a_hello_in_many_records_is_taken() {
    let message = hello();
    for size in [message.len().div_ceil(64), 1000, message.len()] {
        let step = receive(&records(&message, size), 32 * 1024);
        let Step::Decide(decide) = step else { panic!("{step:?}") };
        assert_eq!(decide.hello().alpn().len(), 20);
        assert!(matches!(decide.accept(&context(Algorithm::P256)), Step::Job(_)));
    }
}

#[test]
fn a_hello_in_too_many_records_is_refused() {
    let message = hello();
    let failure = failure(receive(&records(&message, message.len() / 65), 32 * 1024));
    assert_eq!(failure.code(), Code::RecordTooSmall);
    assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 10]);
}

#[test]
fn the_limit_holds_to_the_byte_and_before_the_whole_message_came() {
    let message = hello();
    let limit = message.len();
    assert!(matches!(receive(&records(&message, 16_384), limit), Step::Decide(_)));
    let failure = failure(receive(&records(&message, 100)[..105], limit - 1));
    assert_eq!(failure.code().as_str(), "ERR_SSL_EXCESSIVE_MESSAGE_SIZE");
    assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 47]);
}

#[test]
fn the_limit_can_be_raised_above_its_default() {
    let mut client = {
        let mut config = client(TLS13);
        config.alpn_protocols = (0..200).map(|number| vec![number; 200]).collect();
        rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap()
    };
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    assert!(bytes.len() > 40_000);
    assert_eq!(failure(receive(&bytes, 32 * 1024)).code(), Code::ExcessiveMessageSize);
    assert!(matches!(receive(&bytes, 60 * 1024), Step::Decide(_)));
}

#[test]
fn an_empty_record_is_refused() {
    let failure = failure(receive(&[22, 3, 1, 0, 0], 32 * 1024));
    assert_eq!(failure.code(), Code::UnexpectedMessage);
}

#[test]
fn a_second_hello_has_the_same_limit() {
    use offloop_tls::Group;
    use rustls::crypto::aws_lc_rs::{self, kx_group};

    let context = crate::pair::context_with(Algorithm::P256, |options| {
        options.groups = Some(vec![Group::P384]);
    });
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP384R1];
    let config = crate::pair::client_of(provider, TLS13, None);
    let mut client =
        rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let Step::Decide(decide) = receive(&bytes, 2_000) else { panic!() };
    let Step::Job(job) = decide.accept(&context) else { panic!() };
    let Step::Send(retry) = job.run() else { panic!() };
    let Step::NeedBytes(mut state) = retry.sent() else { panic!() };
    // A hello that never ends.
    let start = [22, 3, 3, 0x10, 0, 1, 0, 0xf0, 0];
    let mut sent = 0;
    let failure = loop {
        let piece = if sent == 0 { &start[..] } else { &[0; 100] };
        sent += piece.len();
        assert!(sent < 3_000, "the limit is 2,000 and a few headers");
        match state.receive(piece) {
            Step::NeedBytes(next) => state = next,
            step => break failure(step),
        }
    };
    assert_eq!(failure.code(), Code::ExcessiveMessageSize);
    assert_eq!(failure.bytes(), [21, 3, 3, 0, 2, 2, 47]);
}
