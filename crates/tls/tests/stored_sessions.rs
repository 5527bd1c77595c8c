//! TLS 1.2 sessions that the caller stores, by their ids.

use std::sync::Arc;

use offloop_tls::{
    Answer, ClientAuth, Code, ContextOptions, ContextTable, Cost, NewSession, ServerContext,
    Tickets,
};
use rustls::ClientConfig;
use rustls::client::{Resumption, Tls12Resumption};

use crate::certificates::{Algorithm, authority, client as client_identity, server};
use crate::pair::{Pair, TLS12, TLS13, client, client_with_certificate, context_with};

/// A client that resumes by session id, never by ticket.
fn by_id(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption =
        Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    config.into()
}

fn storing() -> Answer {
    Answer { store_session: true, ..Answer::default() }
}

fn resuming(data: &[u8]) -> Answer {
    Answer { session: Some(data.to_vec()), ..storing() }
}

fn connect(client: &Arc<ClientConfig>, context: &ServerContext, answer: Answer) -> Pair {
    let table = ContextTable::new(context.clone());
    Pair::for_name("localhost", Arc::clone(client), table).answer(answer).run()
}

fn without_tickets(change: impl FnOnce(&mut ContextOptions)) -> ServerContext {
    context_with(Algorithm::Rsa2048, |options| {
        options.tickets = Tickets::Off;
        change(options);
    })
}

fn asking() -> ClientAuth {
    ClientAuth::Request {
        roots: vec![authority().der().clone()],
        partial_chain: false,
        reject_unauthorized: true,
    }
}

/// A first connection, whose session is stored.
fn first(client: &Arc<ClientConfig>, context: &ServerContext) -> NewSession {
    let mut pair = connect(client, context, storing());
    pair.assert_echo();
    assert!(!pair.session().resumed);
    pair.new_session.unwrap()
}

#[test]
fn a_stored_session_is_resumed_in_a_light_job() {
    let context = without_tickets(|_| {});
    let client = by_id(client(TLS12));
    let session = first(&client, &context);
    assert_eq!(session.id.len(), 32);
    let mut again = connect(&client, &context, resuming(&session.data));
    again.assert_echo();
    assert!(again.session().resumed);
    assert_eq!(again.costs, [Cost::Light]);
    assert_eq!(again.new_session, None);
}

#[test]
fn another_context_with_the_same_key_opens_a_stored_session() {
    let client = by_id(client(TLS12));
    let session = first(&client, &without_tickets(|_| {}));
    let again = connect(&client, &without_tickets(|_| {}), resuming(&session.data));
    assert!(again.session().resumed);
}

#[test]
fn a_client_that_takes_tickets_gets_one_and_no_session_is_stored() {
    let context = context_with(Algorithm::P256, |_| {});
    let mut pair = connect(&Arc::new(client(TLS12)), &context, storing());
    pair.assert_echo();
    assert!(pair.new_session.is_some(), "a client without the extension");
    let mut config = client(TLS12);
    config.resumption = Resumption::in_memory_sessions(8);
    let pair = connect(&config.into(), &context, storing());
    assert_eq!(pair.new_session, None);
}

#[test]
fn tls13_has_no_stored_sessions() {
    let mut pair = connect(&by_id(client(TLS13)), &without_tickets(|_| {}), storing());
    pair.assert_echo();
    assert_eq!(pair.new_session, None);
}

#[test]
fn a_session_is_stored_only_when_it_is_asked_for() {
    let client = by_id(client(TLS12));
    let context = without_tickets(|_| {});
    let pair = connect(&client, &context, Answer::default());
    assert_eq!(pair.new_session, None);
    // And without an id the client has nothing to name.
    let session = first(&client, &context);
    let again = connect(&client, &context, Answer { session: None, ..storing() });
    assert!(!again.session().resumed);
    assert_ne!(again.new_session.unwrap().id, session.id);
}

#[test]
fn a_session_of_other_checks_is_ignored() {
    let client = by_id(client(TLS12));
    let session = first(&client, &without_tickets(|_| {}));
    let changes: [fn(&mut ContextOptions); 2] = [
        |options| options.session_id_context = b"other".to_vec(),
        |options| options.identities = vec![server(Algorithm::P256)],
    ];
    for change in changes {
        let again = connect(&client, &without_tickets(change), resuming(&session.data));
        assert!(!again.session().resumed);
        assert!(again.new_session.is_some());
    }
    let closed = without_tickets(|options| options.client_auth = asking());
    let refused = connect(&client, &closed, resuming(&session.data));
    assert_eq!(refused.failure().code(), Code::PeerDidNotReturnACertificate);
}

#[test]
fn a_changed_session_is_ignored() {
    let client = by_id(client(TLS12));
    let context = without_tickets(|_| {});
    let session = first(&client, &context);
    let mut garbage = vec![Vec::new(), vec![0; 10], vec![0; 500]];
    for position in (0..session.data.len()).step_by(13) {
        let mut changed = session.data.clone();
        changed[position] ^= 1;
        // The name of the key means nothing here.
        if position >= 16 {
            garbage.push(changed);
        }
        garbage.push(session.data[..position].to_vec());
    }
    for data in garbage {
        let pair = connect(&client, &context, Answer { session: Some(data), ..Answer::default() });
        assert!(!pair.session().resumed);
    }
}

#[test]
fn an_authorized_client_stays_so_when_its_stored_session_is_resumed() {
    let context = without_tickets(|options| options.client_auth = asking());
    let client = by_id(client_with_certificate(TLS12, client_identity()));
    let session = first(&client, &context);
    let again = connect(&client, &context, resuming(&session.data));
    assert!(again.session().resumed);
    assert!(again.session().authorized);
    assert_eq!(*again.session().peer_certificates, client_identity().chain);
}
