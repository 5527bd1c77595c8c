//! Random operations, legal or not, on connections that live, have ended or never were.

use std::io::{Read, Write};
use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use offloop_engine::{ConnectionId, EngineOptions, Event, Operation, Payload};

use crate::support::{Client, Sink, TestHost, eventually};

/// Whatever a host submits: nothing panics, nobody else's connection is hit, and all slots come
/// back. `OFFLOOP_FUZZ_SECONDS` is the budget, 1 by default; a failure prints its seed.
#[test]
fn any_operations_on_any_slots_are_survived() {
    let seconds = std::env::var("OFFLOOP_FUZZ_SECONDS").map_or(1, |text| text.parse().unwrap());
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen();
    let mut bystander = test.connect(address);
    let spared = test.opened();
    arbtest::arbtest(|random| {
        let clients: Vec<Client> = (0..3).map(|_| test.connect(address)).collect();
        let opened = test.drain_until(|sink| sink.opened().len() == clients.len());
        let ids = opened.opened();
        for _ in 0..random.int_in_range(1..=8)? {
            submit(random, &test, &ids, spared)?;
        }
        echo(&test, &mut bystander, spared);
        drop(clients);
        for &id in &ids {
            test.destroy(id);
        }
        eventually(|| {
            test.host.drain(&mut Sink::default());
            test.host.connection_count(server) == 1
        });
        Ok(())
    })
    .budget(Duration::from_secs(seconds));
    assert_eq!(test.engine.tally().connections, 1);
    assert_eq!(test.engine.stats().sent_bytes_queued, 0);
}

/// One submission of up to nine operations.
fn submit(
    random: &mut Unstructured<'_>,
    test: &TestHost,
    ids: &[ConnectionId],
    spared: ConnectionId,
) -> Result<()> {
    let bytes = vec![7; random.int_in_range(0..=40_000)?];
    let mut payloads = Vec::new();
    for _ in 0..random.int_in_range(1..=9)? {
        let id = any_id(random, ids)?;
        if id != spared {
            let size = random.int_in_range(0..=bytes.len())?;
            payloads.push(Payload { id, operation: operation(random)?, bytes: &bytes[..size] });
        }
    }
    let count = payloads.len();
    test.host.submit(payloads.into_iter(), |index| assert!(index < count));
    test.host.drain(&mut Sink::default());
    Ok(())
}

/// One that lives or lived, one of another generation, or any.
fn any_id(random: &mut Unstructured<'_>, ids: &[ConnectionId]) -> Result<ConnectionId> {
    let known = *random.choose(ids)?;
    Ok(match random.int_in_range(0..=9)? {
        0 => ConnectionId { slot: random.arbitrary()?, generation: random.arbitrary()? },
        1 => ConnectionId { generation: known.generation.wrapping_sub(1), ..known },
        2 => ConnectionId { generation: known.generation.wrapping_add(1), ..known },
        _ => known,
    })
}

fn operation(random: &mut Unstructured<'_>) -> Result<Operation> {
    Ok(match random.int_in_range(0..=15)? {
        0 => Operation::End,
        1 => Operation::Destroy,
        2 => Operation::Reset,
        3 => Operation::Pause,
        4 => Operation::Resume,
        5 => Operation::Ciphertext,
        6 => Operation::CiphertextEnd,
        7 => Operation::CiphertextSent(random.arbitrary()?),
        8 => Operation::NoDelay(random.arbitrary()?),
        9 => Operation::KeepAlive(Some(Duration::from_secs(random.arbitrary()?))),
        10 => Operation::KeepAlive(None),
        _ => Operation::Write,
    })
}

/// The bystander is served as if nothing happened.
fn echo(test: &TestHost, client: &mut Client, id: ConnectionId) {
    client.write_all(b"ping").unwrap();
    eventually(|| {
        let mut sink = Sink::default();
        test.host.drain(&mut sink);
        let ended = |event: &Event| matches!(event, Event::End(at) if *at == id);
        assert!(!sink.events.iter().any(ended));
        sink.plaintext.iter().any(|(at, plaintext)| *at == id && plaintext == b"ping")
    });
    let write = Payload { id, operation: Operation::Write, bytes: b"pong" };
    test.host.submit([write].into_iter(), |_| {});
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"pong");
}
