//! The hub of one Node environment: every call that crosses the border.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

use std::cell::Cell;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{
    Buffer, ClassInstance, Function, Uint8Array, Uint8ArraySlice, Uint32ArraySlice,
};
use napi_derive::napi;
use offloop_engine::{ConnectionId, Drained, Host, Stop};

use crate::backends::NativeBackends;
use crate::configuration::engine;
use crate::context::{NativeContext, only, table};
use crate::decision::{NativeCertificates, NativeDecision};
use crate::doorbell::NodeDoorbell;
use crate::handshake::{NativeHandshake, NativeHello};
use crate::operations::Decoder;
use crate::options::{
    EINVAL, NativeAcceptOptions, NativeAddresses, NativeListenTarget, NativeListening,
    NativeServerOptions, NativeSlot,
};
use crate::records::{Encoder, STRIDE};
use crate::session::{NativeSession, facts};
use crate::sheds::NativeSheds;
use crate::stats::{NativeStats, NativeTally};
use crate::{Result, coded};

/// One for each Node environment (main thread or worker).
#[napi]
pub struct Hub {
    host: Arc<Host>,
    doorbell: NodeDoorbell,
}

/// Bytes of keying material: more would hold the event loop, and no protocol wants it.
const EXPORT_MOST: u32 = 1 << 20;

/// Set in the result of `drain` when there is more.
const MORE: u32 = 1 << 31;

/// Set in the result of `drain` and `submit` when more bytes wait to be sent, over all connections
/// of the process, than should.
const CONGESTED: u32 = 1 << 30;

#[napi]
impl Hub {
    /// `doorbell` is called on the event loop when there is something to drain; rings coalesce. It
    /// does not keep the loop alive until `refer()`.
    #[napi(constructor)]
    pub fn new(env: Env, doorbell: Function<'_, (), ()>) -> Result<Self> {
        let engine = engine()?;
        let doorbell = NodeDoorbell::new(&doorbell).map_err(internal)?;
        let host = Host::new(engine, Box::new(doorbell.clone()));
        let ending = Arc::clone(&host);
        env.add_env_cleanup_hook(ending, |host| host.close()).map_err(internal)?;
        Ok(Self { host, doorbell })
    }

    /// The bell keeps the event loop alive from now on.
    #[napi]
    pub fn refer(&self, env: Env) {
        self.doorbell.refer(&env);
    }

    /// The bell keeps the event loop alive no longer.
    #[napi]
    pub fn unref(&self, env: Env) {
        self.doorbell.unref(&env);
    }

    /// Fills `records` (four numbers each, see `EventKind`) and, in the same order, their payloads
    /// into `slab`. Returns the number of records; bit 31 is set when there is more, bit 30 when
    /// connections should be given little to send at a time.
    #[napi]
    pub fn drain(&self, mut records: Uint32ArraySlice<'_>, mut slab: Uint8ArraySlice<'_>) -> u32 {
        // SAFETY: JavaScript can't run during this call, and `ts/hub.ts` passes two arrays of its
        // own that share no memory. Test: every connection of `__test__`.
        let (records, slab) = unsafe { (records.as_mut(), slab.as_mut()) };
        let mut encoder = Encoder::new(records, slab);
        let more = match self.host.drain(&mut encoder) {
            Drained::All => 0,
            Drained::More => MORE,
        };
        encoder.count() | more | self.congestion()
    }

    /// Carries out the first `count` operations (four numbers each, see `Opcode`). Payloads lie in
    /// `slab` in their order, or are the next of `buffers`. Overwrites each opcode: 1 when a write
    /// or end is in the kernel already, else 0, and then `Written` follows. Returns bit 30 of `drain`.
    #[napi]
    pub fn submit(
        &self,
        mut operations: Uint32ArraySlice<'_>,
        count: u32,
        slab: &[u8],
        buffers: Vec<&[u8]>,
    ) -> u32 {
        // SAFETY: as in `drain`: an array of `ts/submission.ts`'s own, which no payload shares.
        let operations = unsafe { operations.as_mut() };
        let count = (count as usize).min(operations.len() / STRIDE);
        let numbers = Cell::from_mut(operations).as_slice_of_cells();
        let mut decoder = Decoder::new(numbers, slab, buffers);
        self.host.submit((0..count).map(|index| decoder.decode(index)), |index| {
            numbers[index * STRIDE].set(1);
        });
        self.congestion()
    }

    /// A server that does not listen yet; its id is greater than 0. Without a context it serves no
    /// one until it gets one. With backends it gives them the plaintext, and JavaScript none.
    #[napi]
    pub fn create_server(
        &self,
        options: NativeServerOptions,
        context: Option<&NativeContext>,
        tally: &NativeTally,
        backends: Option<&NativeBackends>,
    ) -> Result<u32> {
        let backends = backends.map(|native| Arc::clone(&native.backends));
        let options = options.parse(only(context), Arc::clone(&tally.tally), backends)?;
        Ok(self.host.create_server(options))
    }

    /// Its contexts from the next ClientHello on. Names are case-insensitive, `*.` covers one
    /// label, the last match wins. What matches none is answered with `fallback`, and without one
    /// refused as by a server without certificates.
    #[napi]
    pub fn set_contexts(
        &self,
        server: u32,
        fallback: Option<&NativeContext>,
        names: Vec<String>,
        contexts: Vec<ClassInstance<'_, NativeContext>>,
    ) {
        self.host.set_contexts(server, table(fallback, &names, &contexts));
    }

    /// Does a `Hello` record ask how each ClientHello is to be answered? From the next connection
    /// on.
    #[napi]
    pub fn set_ask(&self, server: u32, ask: bool) {
        self.host.set_ask(server, ask);
    }

    /// Its bound on connections, null for none.
    #[napi]
    pub fn set_max_connections(&self, server: u32, max: Option<u32>) {
        self.host.set_max_connections(server, max.map(|max| max as usize));
    }

    /// Listens at once.
    #[napi]
    pub fn listen(&self, server: u32, target: NativeListenTarget) -> NativeListening {
        self.host.listen(server, &target.into()).into()
    }

    /// A duplicate of a socket's descriptor, the caller's to close; negative: the system's error.
    #[napi]
    pub fn duplicate(&self, descriptor: i32) -> i32 {
        match offloop_engine::duplicate(descriptor) {
            Ok(socket) => socket.into_raw_fd(),
            Err(error) => -error.raw_os_error().unwrap_or(EINVAL),
        }
    }

    /// Stops listening; `ServerClosed` follows when the last connection is gone. The descriptor
    /// that was listened on stays open and listening for JavaScript. `acceptRest`: what has
    /// connected already, or is about to, is accepted first.
    #[napi]
    pub fn close_server(&self, server: u32, accept_rest: bool) {
        self.host.close_server(server, if accept_rest { Stop::WithoutLoss } else { Stop::AtOnce });
    }

    /// Ends the handshakes of a server that are under way, and connections that backends have; none
    /// is told of.
    #[napi]
    pub fn cut_handshakes(&self, server: u32) {
        self.host.cut_handshakes(server);
    }

    /// Ends the connections of a server whose clients have sent no byte; none is told of.
    #[napi]
    pub fn cut_silent(&self, server: u32) {
        self.host.cut_silent(server);
    }

    /// Connections of a server, handshakes included.
    #[napi]
    pub fn connection_count(&self, server: u32) -> u32 {
        u32::try_from(self.host.connection_count(server)).unwrap_or(u32::MAX)
    }

    /// Takes over a connected socket: its descriptor is duplicated, the caller keeps its own
    /// silent, and closes it when the TLS socket ends. `received`: what was read already.
    #[napi]
    pub fn adopt(
        &self,
        descriptor: i32,
        options: NativeAcceptOptions,
        context: Option<&NativeContext>,
        received: &[u8],
    ) -> Result<NativeSlot> {
        let contexts = context.map(|context| only(Some(context)));
        Ok(slot(self.host.adopt(descriptor, options.parse(contexts, received)?)))
    }

    /// Takes over a byte stream that JavaScript pumps.
    #[napi]
    pub fn attach(
        &self,
        options: NativeAcceptOptions,
        context: Option<&NativeContext>,
        received: &[u8],
    ) -> Result<NativeSlot> {
        let contexts = context.map(|context| only(Some(context)));
        Ok(slot(self.host.attach(options.parse(contexts, received)?)))
    }

    /// Both ends of a connection; null when its number is stale.
    #[napi]
    pub fn addresses(&self, slot: u32, generation: u32) -> Option<NativeAddresses> {
        self.host.addresses(ConnectionId { slot, generation }).map(Into::into)
    }

    /// Answers a `Hello` record, with the server's context for the name if `context` is null. False:
    /// the connection is gone or was answered before.
    #[napi]
    pub fn decide(
        &self,
        slot: u32,
        generation: u32,
        context: Option<&NativeContext>,
        decision: NativeDecision,
    ) -> Result<bool> {
        let decision = decision.parse(context.map(|native| native.context.clone()))?;
        Ok(self.host.decide(ConnectionId { slot, generation }, decision))
    }

    /// The certificates that would answer a `Hello` record that waits, with `context` or the
    /// server's context for the name, and `session` of the decision; null when nothing would, or
    /// only a session that is resumed, or when it waits no longer.
    #[napi]
    pub fn certificate_for(
        &self,
        slot: u32,
        generation: u32,
        context: Option<&NativeContext>,
        session: Option<Uint8Array>,
    ) -> Option<NativeCertificates> {
        let context = context.map(|native| &native.context);
        let id = ConnectionId { slot, generation };
        self.host.certificates_for(id, context, session.as_deref(), NativeCertificates::of)?
    }

    /// Answers a `NewSession` record. False: the connection is gone or was answered before.
    #[napi]
    pub fn proceed(&self, slot: u32, generation: u32) -> bool {
        self.host.proceed(ConnectionId { slot, generation })
    }

    /// Keying material of an open connection (RFC 5705, RFC 8446 section 7.5), so many bytes; null
    /// when its number is stale.
    #[napi]
    pub fn export_keying_material(
        &self,
        slot: u32,
        generation: u32,
        length: u32,
        label: String,
        context: Option<Uint8Array>,
    ) -> Result<Option<Buffer>> {
        if length > EXPORT_MOST {
            let message = format!("length must be at most {EXPORT_MOST}, got {length}");
            return Err(coded("ERR_INVALID_ARG_VALUE", message));
        }
        let mut material = vec![0; length as usize];
        let exported = self.host.records(ConnectionId { slot, generation }, |records| {
            records.export_keying_material(&mut material, label.as_bytes(), context.as_deref())
        });
        match exported {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(material.into())),
            Some(Err(failure)) => Err(coded(failure.code().as_str(), failure.to_string())),
        }
    }

    /// Records of an open connection hold at most so many bytes of plaintext from now on, 512 to
    /// 16384. False: another number, or the connection's is stale.
    #[napi]
    pub fn set_max_send_fragment(&self, slot: u32, generation: u32, size: u32) -> bool {
        let id = ConnectionId { slot, generation };
        (512..=16_384).contains(&size)
            && self.host.records(id, |records| records.set_max_fragment(size as usize)).is_some()
    }

    /// Traces the records of an open connection to standard error, or no longer. False: its number
    /// is stale.
    #[napi]
    pub fn set_trace(&self, slot: u32, generation: u32, on: bool) -> bool {
        self.host.set_trace(ConnectionId { slot, generation }, on)
    }

    /// What of its session a closed socket still tells, four lines: '1' or '', why the client is
    /// not authorized, the server name, the ALPN protocol; null when its number is stale.
    #[napi]
    pub fn facts(&self, slot: u32, generation: u32) -> Option<String> {
        self.host.handshaken(ConnectionId { slot, generation }, |done| facts(&done.session))
    }

    /// The facts of an open connection; null when its number is stale.
    #[napi]
    pub fn session(&self, slot: u32, generation: u32) -> Option<NativeSession> {
        let id = ConnectionId { slot, generation };
        self.host.handshaken(id, |done| NativeSession::from(&done.session))
    }

    /// What the handshake of an open connection came to; null when its number is stale.
    #[napi]
    pub fn handshake(&self, slot: u32, generation: u32) -> Option<NativeHandshake> {
        let id = ConnectionId { slot, generation };
        self.host.handshaken(id, |done| NativeHandshake::from(done))
    }

    /// The ClientHello of a `Hello` record that waits; null when it waits no longer.
    #[napi]
    pub fn client_hello(&self, slot: u32, generation: u32) -> Option<NativeHello> {
        let id = ConnectionId { slot, generation };
        self.host.client_hello(id, |hello| NativeHello::from(hello))
    }

    /// Do `Start` records tell of each ClientHello, from the next one on?
    #[napi]
    pub fn set_tell_starts(&self, tell: bool) {
        self.host.set_tell_starts(tell);
    }

    /// A turn held the event loop for so many microseconds.
    #[napi]
    pub fn held(&self, micros: f64) {
        self.host.held(Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default());
    }

    /// Do `Shed` records tell of connections that are shed? Default: no.
    #[napi]
    pub fn watch_sheds(&self, on: bool) {
        self.host.watch_sheds(on);
    }

    /// What was shed since it was asked last.
    #[napi]
    pub fn sheds(&self) -> NativeSheds {
        self.host.take_sheds().into()
    }

    /// Waits until what was submitted is in the kernel, so many milliseconds at most.
    #[napi]
    pub fn finish(&self, timeout: u32) {
        self.host.finish(Duration::from_millis(timeout.into()));
    }

    /// Ends every server and connection of this hub.
    #[napi]
    pub fn close(&self) {
        self.host.close();
    }

    /// Figures of the whole process.
    #[napi]
    pub fn stats(&self) -> Result<NativeStats> {
        Ok(NativeStats::of(&*engine()?, &self.host))
    }
}

impl Hub {
    fn congestion(&self) -> u32 {
        if self.host.is_congested() { CONGESTED } else { 0 }
    }
}

fn slot(id: std::io::Result<ConnectionId>) -> NativeSlot {
    match id {
        Ok(ConnectionId { slot, generation }) => NativeSlot { errno: None, slot, generation },
        Err(error) => NativeSlot {
            errno: Some(-error.raw_os_error().unwrap_or(EINVAL)),
            slot: u32::MAX,
            generation: 0,
        },
    }
}

fn internal(error: napi::Error) -> napi::Error<String> {
    coded("ERR_OFFLOOP_INTERNAL", error.reason.clone())
}
