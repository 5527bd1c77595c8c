import { AsyncResource } from 'node:async_hooks';
import type { Server } from 'node:tls';
import {
  channels,
  tellAbandoned,
  tellEnd,
  tellError,
  tellSheds,
  tellStart,
  watch,
} from './channels.js';
import { Connection } from './connection.js';
import { failure, type NativeReport } from './errors.js';
import type { HelloReport } from './hello.js';
import {
  ACCEPT_ERROR,
  CIPHERTEXT,
  CIPHERTEXT_END,
  CIPHERTEXT_TAKEN,
  CLOSED,
  CONGESTED,
  DATA,
  DROPPED,
  END,
  ERROR,
  FAILED,
  HELLO,
  KEYLOG,
  MORE,
  type NativeAddresses,
  NativeHub,
  NEW_SESSION,
  OPEN,
  type NativeSheds,
  OP_DESTROY,
  PROXIED,
  SERVER_CLOSED,
  SHED,
  START,
  WORDS,
  WRITTEN,
} from './native.js';
import { Submission } from './submission.js';
import type { TlsSocket } from './tls-socket.js';

/**
 * Records handled in one turn of the event loop. A turn is one macrotask: microtasks and
 * `process.nextTick` run after it, timers and other I/O get their chance between turns.
 */
const TURN_RECORDS = 1024;
const TURN_SLABS = 4;
/** How long a turn may be, in ms, looked at after so many records: handlers take what they take. */
const TURN_MS = 10;
const LOOK_AT = 16;
const SLAB_BYTES = 64 * 1024;
const SLAB_MINIMUM = 4096;
/** A copy of so many bytes takes up to 0.1 us. */
const COPIED_MOST = 1024;

const NEWLINE = Buffer.from('\n');

/** What the core says about a handshake that failed. */
export interface FailureReport extends NativeReport, NativeAddresses {
  server?: number;
  connection?: number;
}

/** A server as the hub sees it. */
export interface HubServer {
  /** The program's. */
  readonly server: Server;
  onOpen(connection: Connection): void;
  /** How is this ClientHello to be answered? Gives the connection its socket. */
  onHello?(connection: Connection, report: HelloReport): void;
  /** Does anybody listen to handshakes that fail? Without, their reports are not even parsed. */
  wantsFailures(): boolean;
  onFailed(report: FailureReport): void;
  onDropped(payload: Payload): void;
  onAcceptError(payload: Payload): void;
  onServerClosed(id: number): void;
}

/** A stream whose ciphertext JavaScript carries. */
export interface HubStream {
  onCiphertext(chunk: Buffer): void;
  onCiphertextEnd(): void;
  onCiphertextTaken(bytes: number): void;
}

/** A payload in the slab, looked at only by those who care. */
export class Payload {
  constructor(
    private readonly slab: Buffer,
    private readonly start: number,
    private readonly end: number,
  ) {}

  bytes(): Buffer {
    return this.slab.subarray(this.start, this.end);
  }

  /** JSON. */
  parse<T>(): T {
    return JSON.parse(this.slab.toString('utf8', this.start, this.end)) as T;
  }
}

/** Drains records from Rust to connections and servers; owns what goes the other way. */
export class Hub {
  readonly native: NativeHub;
  readonly submission: Submission;
  readonly servers = new Map<number, HubServer>();
  /**
   * Handshakes that JavaScript knows of, by `key`: a slot may be another's already while records
   * about its last owner still wait.
   */
  private readonly shaking = new Map<number, Connection>();
  readonly streams = new Map<number, HubStream>();
  private readonly connections: (Connection | undefined)[] = [];
  private readonly records = new Uint32Array(TURN_RECORDS * WORDS);
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Where the next payload lies; everything before it belongs to readers. */
  private offset = 0;
  private next = 0;
  private count = 0;
  private more = false;
  /** See `giveUp`. */
  private broken = false;
  private holders = 0;
  private shedWatcher: ((sheds: NativeSheds) => void) | null = null;
  private readonly turn = (): void => this.runTurn();

  constructor() {
    this.native = new NativeHub(this.turn);
    this.submission = new Submission(this.native, (slot, generation) =>
      this.find(slot, generation),
    );
    watch(channels.start, (wanted) => this.native.setTellStarts(wanted));
    const tell = (sheds: NativeSheds): void =>
      tellSheds(sheds, (id) => this.servers.get(id)?.server);
    watch(channels.shed, (wanted) => this.watchSheds(wanted ? tell : null));
    process.on('exit', () => this.finish());
  }

  /** The event loop must stay alive for one more socket, handshake or server. */
  retain(): void {
    if (this.holders++ === 0) this.native.refer();
  }

  release(): void {
    if (--this.holders === 0) this.native.unref();
  }

  /**
   * Tells `watcher` of connections that are shed: once a turn at most, however many there are. Null:
   * nobody, which costs nothing.
   */
  watchSheds(watcher: ((sheds: NativeSheds) => void) | null): void {
    this.shedWatcher = watcher;
    this.native.watchSheds(watcher !== null);
  }

  /** A handshake begins: what the core says of it goes to `connection`. */
  shake(connection: Connection, slot: number, generation: number): void {
    connection.place(slot, generation);
    this.shaking.set(key(slot, generation), connection);
  }

  /** Those that JavaScript has, handshakes included. */
  *sockets(): Iterable<TlsSocket> {
    for (const connection of [...this.connections, ...this.shaking.values()])
      if (connection?.socket) yield connection.socket;
  }

  private find(slot: number, generation: number): Connection | undefined {
    const connection = this.connections[slot];
    return connection !== undefined && connection.generation === generation
      ? connection
      : undefined;
  }

  /**
   * One turn. A throw in a user's handler leaves through here to 'uncaughtException'; the records
   * behind it are kept and follow in a turn of their own.
   */
  private runTurn(): void {
    if (this.broken) return;
    let complete = false;
    const began = performance.now();
    this.submission.hold();
    try {
      this.drain();
      this.submission.flush();
      complete = true;
    } finally {
      const left = this.more || this.next < this.count;
      if ((!complete || left) && !this.broken) setImmediate(this.turn);
      this.native.held((performance.now() - began) * 1000);
    }
  }

  private drain(): void {
    let budget = TURN_RECORDS;
    let slabs = TURN_SLABS;
    const over = performance.now() + TURN_MS;
    // What a throw left behind, or a long turn, comes first.
    if (this.next < this.count && !this.dispatch(over)) return;
    do {
      if (SLAB_BYTES - this.offset < SLAB_MINIMUM) {
        if (--slabs < 0) return;
        this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.offset = 0;
      }
      const answer = this.native.drain(
        this.records,
        this.offset === 0 ? this.slab : this.slab.subarray(this.offset),
      );
      this.more = (answer & MORE) !== 0;
      this.count = answer & ~(MORE | CONGESTED);
      this.submission.congested = (answer & CONGESTED) !== 0;
      this.next = 0;
      if (this.count === 0 && this.more) {
        if (this.offset === 0) this.giveUp();
        // The next payload is larger than what is left of this slab.
        this.offset = SLAB_BYTES;
        continue;
      }
      budget -= this.count;
      if (!this.dispatch(over)) return;
    } while (this.more && budget > 0);
  }

  /** A payload that fits no slab would be asked for again and again: nothing follows it. */
  private giveUp(): never {
    this.more = false;
    this.broken = true;
    this.native.close();
    throw failure('ERR_OFFLOOP_INTERNAL', `a payload above ${SLAB_BYTES} bytes`);
  }

  /** False: the turn is over, and records are left. */
  private dispatch(over: number): boolean {
    const { records } = this;
    // Cursors move before the handler runs, so that after a throw nothing comes twice.
    while (this.next < this.count) {
      if (this.next % LOOK_AT === LOOK_AT - 1 && performance.now() > over) return false;
      const at = this.next++ * WORDS;
      const slot = records[at + 1];
      const value = records[at + 3];
      switch (records[at]) {
        case DATA: {
          const start = this.offset;
          this.offset = start + value;
          const connection = this.connections[slot];
          if (connection !== undefined && connection.generation === records[at + 2])
            connection.onData(this.chunk(start, value));
          break;
        }
        case WRITTEN: {
          const connection = this.connections[slot];
          if (connection !== undefined && connection.generation === records[at + 2])
            connection.onWritten(value);
          break;
        }
        default:
          this.dispatchRare(records[at], slot, records[at + 2], value);
      }
    }
    return true;
  }

  /** A view of the slab; of small chunks a copy, so that who keeps one does not keep the slab. */
  private chunk(start: number, size: number): Buffer {
    const end = start + size;
    if (size > COPIED_MOST) return this.slab.subarray(start, end);
    const chunk = Buffer.allocUnsafe(size);
    this.slab.copy(chunk, 0, start, end);
    return chunk;
  }

  private dispatchRare(kind: number, slot: number, generation: number, value: number): void {
    switch (kind) {
      case OPEN:
        return this.open(slot, generation, value);
      case PROXIED:
        return this.proxied(slot, generation);
      case END:
        return this.find(slot, generation)?.onEnd();
      case CLOSED:
        return this.closed(slot, generation);
      case ERROR: {
        const payload = this.payload(value);
        return this.find(slot, generation)?.onError(payload.parse<NativeReport>());
      }
      case FAILED:
        return this.failed(key(slot, generation), this.payload(value));
      case CIPHERTEXT: {
        const payload = this.payload(value);
        return this.streams.get(key(slot, generation))?.onCiphertext(payload.bytes());
      }
      case CIPHERTEXT_END:
        return this.streams.get(key(slot, generation))?.onCiphertextEnd();
      case CIPHERTEXT_TAKEN:
        return this.streams.get(key(slot, generation))?.onCiphertextTaken(value);
      case HELLO:
        return this.hello(slot, generation, this.payload(value).parse<HelloReport>());
      case START:
        return tellStart(this.payload(value).parse(), this.servers.get(slot)?.server);
      case NEW_SESSION: {
        const payload = Buffer.from(this.payload(value).bytes());
        const end = 1 + payload[0];
        const connection = this.shaking.get(key(slot, generation));
        return connection?.onNewSession(payload.subarray(1, end), payload.subarray(end));
      }
      case KEYLOG: {
        const line = Buffer.concat([this.payload(value).bytes(), NEWLINE]);
        const id = key(slot, generation);
        return (this.shaking.get(id) ?? this.find(slot, generation))?.onKeyLog(line);
      }
      case SERVER_CLOSED: {
        const server = this.servers.get(slot);
        this.servers.delete(slot);
        return server?.onServerClosed(slot);
      }
      case DROPPED: {
        const payload = this.payload(value);
        return this.servers.get(slot)?.onDropped(payload);
      }
      case SHED:
        return this.shedWatcher?.(this.native.sheds());
      case ACCEPT_ERROR: {
        const payload = this.payload(value);
        return this.servers.get(slot)?.onAcceptError(payload);
      }
      default:
        // Without its payload's meaning the rest of the batch can't be read.
        throw new Error(`offloop: record of unknown kind ${kind}: binding and package differ`);
    }
  }

  private open(slot: number, generation: number, serverId: number): void {
    const id = key(slot, generation);
    const known = this.shaking.get(id);
    if (known !== undefined) {
      this.shaking.delete(id);
      this.connections[slot] = known;
      tellEnd(known, ownerOf(known));
      return known.onOpen();
    }
    const server = this.servers.get(serverId);
    if (server === undefined) return this.refuse(slot, generation);
    const connection = new Connection(this, 'open');
    connection.place(slot, generation);
    this.connections[slot] = connection;
    tellEnd(connection, server.server);
    server.onOpen(connection);
  }

  /** Of those that JavaScript knows by their hello, or handed over. */
  private proxied(slot: number, generation: number): void {
    const id = key(slot, generation);
    const known = this.shaking.get(id);
    if (known === undefined) return;
    this.shaking.delete(id);
    this.connections[slot] = known;
    tellEnd(known, ownerOf(known));
    known.onProxied();
  }

  private hello(slot: number, generation: number, report: HelloReport): void {
    const known = this.shaking.get(key(slot, generation));
    if (known !== undefined) return known.onHello(report);
    const server = this.servers.get(report.server);
    if (server?.onHello === undefined) return this.refuse(slot, generation);
    const connection = new Connection(this, 'shaking');
    connection.hello = report;
    this.shake(connection, slot, generation);
    server.onHello(connection, report);
  }

  /** Nobody is left who would want it. */
  private refuse(slot: number, generation: number): void {
    this.submission.control(OP_DESTROY, slot, generation, 0);
  }

  private closed(slot: number, generation: number): void {
    const id = key(slot, generation);
    this.streams.delete(id);
    const shaking = this.shaking.get(id);
    if (shaking !== undefined) {
      this.shaking.delete(id);
      tellAbandoned(shaking, ownerOf(shaking));
      return shaking.onClosed();
    }
    const connection = this.find(slot, generation);
    if (connection === undefined) return;
    this.connections[slot] = undefined;
    connection.onClosed();
  }

  private failed(id: number, payload: Payload): void {
    this.streams.delete(id);
    const shaking = this.shaking.get(id);
    if (shaking !== undefined) {
      this.shaking.delete(id);
      const report = payload.parse<FailureReport>();
      tellError(report, ownerOf(shaking));
      return shaking.onFailed(report);
    }
    if (channels.error.hasSubscribers) {
      const report = payload.parse<FailureReport>();
      const server = this.servers.get(report.server ?? 0);
      tellError(report, server?.server);
      if (server?.wantsFailures()) server.onFailed(report);
      return;
    }
    for (const server of this.servers.values()) {
      if (!server.wantsFailures()) continue;
      const report = payload.parse<FailureReport>();
      this.servers.get(report.server ?? 0)?.onFailed(report);
      return;
    }
  }

  /** Takes the next payload; to be called for each record that has one, wanted or not. */
  private payload(size: number): Payload {
    const start = this.offset;
    this.offset = start + size;
    return new Payload(this.slab, start, this.offset);
  }

  /**
   * The process ends: what programs wrote goes out, as far as a bounded time allows. So does what
   * later handlers of 'exit' write, unless the socket still waited for an earlier write; node:tls
   * loses it too.
   */
  private finish(): void {
    this.submission.hold();
    for (const connection of this.connections) connection?.writeBuffered();
    this.submission.finish();
  }
}

/** The program's server that a handshake belongs to, where it has a socket. */
function ownerOf({ socket }: Connection): Server | null {
  return (socket?.server as Server | null | undefined) ?? null;
}

/** Slot and generation as one number. */
export function key(slot: number, generation: number): number {
  return slot * 2 ** 32 + generation;
}

// The doorbell's callbacks run in the async context of the hub's making: not that of the request
// which happens to need it first, so that no AsyncLocalStorage leaks into every handler.
const scope = new AsyncResource('OFFLOOP');
let instance: Hub | undefined;

/** The hub of this environment, made on first use. */
export function hub(): Hub {
  return (instance ??= scope.runInAsyncScope(() => new Hub()));
}

/** The hub if there is one already. */
export function existingHub(): Hub | undefined {
  return instance;
}
