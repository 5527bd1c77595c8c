//! A host, its events and its operations, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{PATIENCE, TestHost, eventually, is_closed};
use offloop_engine::{EngineOptions, Event, Operation, Payload, Stop};

#[test]
fn plaintext_goes_up_and_comes_back() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen();
    let mut client = test.connect(address);
    client.write_all(b"ping").unwrap();
    let sink = test.drain_until(|sink| sink.bytes() == 4);
    let id = sink.opened()[0];
    assert_eq!(sink.plaintext, [(id, b"ping".to_vec())]);

    let mut done = Vec::new();
    let write = Payload { id, operation: Operation::Write, bytes: b"pong" };
    test.host.submit([write].into_iter(), |index| done.push(index));
    assert_eq!(done, [0], "a lone small write is sent at once");
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"pong");
}

#[test]
fn a_destroyed_connection_gives_its_slot_back_after_closed() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen();
    let client = test.connect(address);
    let id = test.drain_until(|sink| !sink.opened().is_empty()).opened()[0];
    let destroy = Payload { id, operation: Operation::Destroy, bytes: &[] };
    test.host.submit([destroy].into_iter(), |_| {});
    test.drain_until(|sink| sink.events.iter().any(|event| matches!(event, Event::Closed(_))));
    assert!(test.host.addresses(id).is_none(), "the old number names nothing");
    assert!(is_closed(client.get_ref()));
    eventually(|| test.host.connection_count(server) == 0);

    let _next = test.connect(address);
    let next = test.drain_until(|sink| !sink.opened().is_empty()).opened()[0];
    assert_eq!(next.slot, id.slot);
    assert_ne!(next.generation, id.generation);
}

#[test]
fn a_server_is_closed_when_its_last_connection_is_gone() {
    let test = TestHost::new(EngineOptions::default());
    let (server, address) = test.listen();
    let _client = test.connect(address);
    let id = test.drain_until(|sink| !sink.opened().is_empty()).opened()[0];
    test.host.close_server(server, Stop::AtOnce);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    let destroy = Payload { id, operation: Operation::Destroy, bytes: &[] };
    test.host.submit([destroy].into_iter(), |_| {});
    let closed = |event: &Event| matches!(event, Event::ServerClosed(id) if *id == server);
    test.drain_until(|sink| sink.events.iter().any(closed));
    assert_eq!(test.engine.tally().listeners, 0);
}

#[test]
fn connections_that_wait_on_the_overall_limit_all_go_on() {
    const CLIENTS: usize = 24;
    const EACH: usize = 200 * 1024;
    const OVERALL: usize = 512 * 1024;
    let options =
        EngineOptions { buffered_overall: OVERALL, io_threads: 1, ..EngineOptions::default() };
    let test = TestHost::new(options);
    let (_, address) = test.listen();
    let senders: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = test.connect(address);
            std::thread::spawn(move || client.write_all(&vec![7; EACH]).map(|()| client))
        })
        .collect();
    // Nobody drains until the limit is reached.
    let queued = || usize::try_from(test.engine.stats().received_bytes_queued).unwrap();
    eventually(|| queued() >= OVERALL);
    // Above it each may have one record in.
    let most = unchanged(queued);
    assert!(most <= OVERALL + CLIENTS * (17 << 10), "{most}");
    let sink = test.drain_until(|sink| sink.bytes() == CLIENTS * EACH);
    assert_eq!(sink.bytes(), CLIENTS * EACH);
    for sender in senders {
        sender.join().unwrap().unwrap();
    }
    assert_eq!(test.engine.stats().received_bytes_queued, 0);
}

/// A number of which nothing tells when it has come to rest.
fn unchanged(number: impl Fn() -> usize) -> usize {
    loop {
        let before = number();
        std::thread::sleep(Duration::from_millis(200));
        if number() == before {
            return before;
        }
    }
}

#[test]
fn a_host_that_closes_leaves_nothing_behind() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen();
    let half_open = TcpStream::connect(address).unwrap();
    half_open.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut open = test.connect(address);
    open.write_all(&[7; 100_000]).unwrap();
    let (stats, tally) = (|| test.engine.stats(), || test.engine.tally());
    eventually(|| stats().received_bytes_queued > 100_000 && tally().handshaking == 1);
    test.host.close();
    assert!(is_closed(&half_open));
    eventually(|| {
        let tally = tally();
        (tally.connections, tally.listeners, stats().received_bytes_queued) == (0, 0, 0)
    });
}
