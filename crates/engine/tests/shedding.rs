//! What a server does not take on, and what its host hears of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use offloop_engine::tls::ContextTable;
use offloop_engine::{
    Decision, EngineOptions, Event, ListenPlace, Offload, Operation, Payload, Rate, ServerOptions,
    ShedReason,
};

use crate::support::{
    Client, TestHost, eventually, is_closed, server_options, shake_hands, start_client,
};

fn listen(test: &TestHost, change: impl FnOnce(&mut ServerOptions)) -> SocketAddr {
    let mut options = server_options(ContextTable::new(test.context.clone()));
    change(&mut options);
    let server = test.host.create_server(options);
    test.listen_at(server, ListenPlace::Address(([127, 0, 0, 1], 0).into()))
}

fn shed(test: &TestHost, reason: ShedReason) -> u64 {
    test.engine.tally().sheds[reason as usize]
}

#[test]
fn who_watches_hears_of_a_flood_once() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| options.admission.handshakes = 1);
    test.host.watch_sheds(true);
    let _only = TcpStream::connect(address).unwrap();
    eventually(|| test.engine.tally().handshaking == 1);
    // The reset may come before connect(2) has returned.
    let clients: Vec<_> = (0..300).map(|_| TcpStream::connect(address)).collect();
    eventually(|| shed(&test, ShedReason::Handshakes) == 300);
    assert!(clients.iter().flatten().all(is_closed));
    let sink = test.drain();
    let count = |is_it: fn(&Event) -> bool| sink.events.iter().filter(|event| is_it(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Shed)), 1);
    let drops = count(|event| matches!(event, Event::Dropped { .. }));
    assert!((1..=300).contains(&drops), "{drops}");

    let sheds = test.host.take_sheds();
    assert_eq!(sheds.counts[ShedReason::Handshakes as usize], 300);
    assert_eq!(sheds.samples.len(), 64);
    assert_eq!(sheds.samples[0].addresses.local, Some(address));
    assert!(sheds.samples[0].addresses.remote.is_some());
    assert!(test.host.take_sheds().samples.is_empty());
    drop(TcpStream::connect(address));
    test.drain_until(|sink| sink.events.iter().any(|event| matches!(event, Event::Shed)));
}

#[test]
fn a_flood_that_is_shed_after_its_hellos_were_asked_about_is_told_in_part() {
    const FLOOD: usize = 300;
    let test = TestHost::new(EngineOptions::default());
    // Nothing is answered by the moment at which it was asked.
    let (_, address) = test.listen_asking(|options| {
        options.settings.offload = Offload::Always;
        options.settings.queue_age = Duration::ZERO;
    });
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..FLOOD {
        let mut client = start_client(&test.client, address);
        client.conn.write_tls(&mut client.sock).unwrap();
        clients.push(client);
    }
    let (mut told, mut quiet) = (0, 0);
    while told + quiet < FLOOD {
        for event in test.drain().events {
            match event {
                Event::Hello { id, .. } => assert!(test.host.decide(id, Decision::default())),
                Event::Failed { id: Some(_), report } => {
                    assert_eq!(report.shed, Some(ShedReason::QueueAge));
                    told += 1;
                }
                Event::Closed(_) => quiet += 1,
                other => panic!("found {other:?}"),
            }
        }
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((100..=100 * (seconds + 2)).contains(&told), "{told} in {seconds} s");
    assert_eq!(shed(&test, ShedReason::QueueAge), FLOOD as u64);
    assert!(clients.iter().all(|client| is_closed(&client.sock)));
    eventually(|| test.engine.tally().connections == 0);
}

#[test]
fn who_has_waited_longest_for_its_hello_goes() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| options.admission.waiting_for_hello = 1);
    let longest = TcpStream::connect(address).unwrap();
    eventually(|| test.engine.tally().handshaking == 1);
    let next = TcpStream::connect(address).unwrap();
    assert!(is_closed(&longest));
    eventually(|| shed(&test, ShedReason::WaitingForHello) == 1);
    // A client with something to say does not wait.
    let client = test.connect(address);
    assert!(is_closed(&next));
    drop(client);
}

/// A client that was answered and says nothing more.
fn silent_client(test: &TestHost, address: SocketAddr) -> Client {
    let mut client = start_client(&test.client, address);
    client.conn.write_tls(&mut client.sock).unwrap();
    client.sock.peek(&mut [0]).unwrap();
    client
}

#[test]
fn who_has_waited_longest_for_its_client_makes_room() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| {
        options.admission.handshakes = 2;
        options.admission.answer_time = Duration::ZERO;
    });
    let mut longest = silent_client(&test, address);
    let next = silent_client(&test, address);
    // A byte of a record renews nothing.
    longest.sock.write_all(&[23]).unwrap();
    let good = test.connect(address);
    test.opened();
    assert!(is_cut(longest));
    assert_eq!(shed(&test, ShedReason::WaitingForClient), 1);
    let others: Vec<_> = (0..20).map(|_| silent_client(&test, address)).collect();
    assert!(is_cut(next));
    eventually(|| shed(&test, ShedReason::WaitingForClient) == 20);
    assert_eq!(shed(&test, ShedReason::Handshakes), 0);
    drop(test.connect(address));
    // All places come back.
    drop(others);
    eventually(|| test.engine.tally().handshaking == 0);
    let both = [silent_client(&test, address), silent_client(&test, address)];
    for client in both {
        drop(shake_hands(client).unwrap());
    }
    assert_eq!(shed(&test, ShedReason::WaitingForClient), 21);
    drop(good);
}

#[test]
fn who_has_just_been_answered_makes_no_room() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| {
        options.admission.handshakes = 1;
        options.admission.answer_time = Duration::from_secs(600);
    });
    let answered = silent_client(&test, address);
    assert!(TcpStream::connect(address).map_or(true, |second| is_closed(&second)));
    assert_eq!(shed(&test, ShedReason::Handshakes), 1);
    drop(shake_hands(answered).unwrap());
    assert_eq!(shed(&test, ShedReason::WaitingForClient), 0);
}

/// True when a client that was answered is reset before it has answered in turn.
fn is_cut(client: Client) -> bool {
    shake_hands(client).and_then(|mut client| client.read(&mut [0])).is_err()
}

#[test]
fn a_handshake_that_waits_for_the_host_makes_no_room() {
    let test = TestHost::new(EngineOptions::default());
    let (_, address) = test.listen_asking(|options| options.admission.handshakes = 1);
    let first = test.connecting(address, &test.client);
    let id = test.asked();
    assert!(TcpStream::connect(address).map_or(true, |second| is_closed(&second)));
    assert_eq!(shed(&test, ShedReason::Handshakes), 1);
    assert!(test.host.decide(id, Decision::default()));
    drop(first.join().unwrap().unwrap());
    assert_eq!(shed(&test, ShedReason::WaitingForClient), 0);
}

#[test]
fn nobody_makes_room_for_one_that_the_rate_refuses() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| {
        options.admission.handshakes = 1;
        options.admission.answer_time = Duration::ZERO;
        options.admission.connection_rate = Some(Rate { per_second: 1, burst: 1 });
    });
    let began = Instant::now();
    let first = silent_client(&test, address);
    let refused = TcpStream::connect(address).map_or(true, |second| is_closed(&second));
    // A slow machine may have given the second one its second.
    if began.elapsed() < Duration::from_secs(1) {
        assert!(refused);
        assert_eq!(shed(&test, ShedReason::ConnectionRate), 1);
        drop(shake_hands(first).unwrap());
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let test = TestHost::new(EngineOptions::default());
    let address = listen(&test, |options| {
        options.settings.idle_timeout = Some(Duration::from_millis(50));
    });
    let client = test.connect(address);
    let id = test.opened();
    test.closed(id);
    assert!(is_closed(&client.sock) || shed(&test, ShedReason::IdleTimeout) == 1);
    assert_eq!(shed(&test, ShedReason::IdleTimeout), 1);
}

#[test]
fn too_much_to_send_over_all_is_congestion_until_it_is_gone() {
    let options = EngineOptions { buffered_overall: 1 << 20, ..EngineOptions::default() };
    let test = TestHost::new(options);
    let address = listen(&test, |_| {});
    let client = test.connect(address);
    let id = test.opened();
    assert!(!test.host.is_congested());
    let bytes = vec![0; 64 << 10];
    // The client does not read: the kernel takes some of it, the rest stays here.
    eventually(|| {
        let write = Payload { id, operation: Operation::Write, bytes: &bytes };
        test.host.submit([write].into_iter(), |_| {});
        test.host.is_congested()
    });
    test.destroy(id);
    eventually(|| !test.host.is_congested());
    drop(client);
}
