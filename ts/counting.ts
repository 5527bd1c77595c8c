import { hub } from './hub.js';
import type { NodeServer } from './node-server.js';

const countings = new WeakMap<NodeServer, Counting>();

/** The connections of a Node server. */
export function countingOf(server: NodeServer): Counting {
  let counting = countings.get(server);
  if (counting === undefined) countings.set(server, (counting = new Counting(server)));
  return counting;
}

/**
 * Counts a server's connections, whoever accepted them: Node by `_connections`, which tells of those
 * of the core too from the server's first attachment on, and the core by a bound that leaves out
 * Node's. A server that has left the core is Node's own again when the core's last is gone.
 */
export class Counting {
  /** Of Node's own. */
  private accepted = 0;
  /** Of the core's, when `_connections` was read last: they may have become fewer before it is set. */
  private read = 0;
  /** The native server that listens; 0: none. */
  private listening = 0;
  /** Native servers whose last connections are not gone yet. */
  private readonly closing = new Set<number>();
  /** TLS sockets over connections that Node accepted. */
  private over = 0;
  private limit: number | undefined;
  private attached = false;
  private restore: (() => void) | null = null;

  constructor(private readonly server: NodeServer) {}

  /** The server goes onto the core. */
  attach(): void {
    this.attached = true;
    if (this.restore === null) this.install();
  }

  /** The server leaves the core. */
  detach(): void {
    this.attached = false;
    if (!this.draining) this.restore?.();
  }

  get maxConnections(): number | undefined {
    return this.limit;
  }

  set maxConnections(limit: number | undefined) {
    this.limit = limit;
    this.adjust();
  }

  /** How many the core may accept; null: without bound. */
  get room(): number | null {
    const { limit } = this;
    // As net.Server reads it: null and undefined are no bound, and so is Infinity.
    if (limit == null || !(limit < MOST)) return null;
    return Math.max(0, Math.ceil(limit) - this.accepted - this.leaving());
  }

  /** The native server `id` listens, with `room` for its bound. */
  listens(id: number): void {
    this.listening = id;
  }

  stopped(): void {
    this.closing.add(this.listening);
    this.listening = 0;
  }

  /** The last connection of a native server that listened is gone. */
  closed(id: number): void {
    this.closing.delete(id);
    this.adjust();
    this.settle();
  }

  /** A TLS socket over a connection that Node accepted begins. */
  begins(): void {
    this.over++;
  }

  ends(): void {
    this.over--;
    this.settle();
  }

  /** Of a native server that listened before, a socket is gone; its count follows in an instant. */
  left(): void {
    if (this.listening !== 0 && this.limit != null)
      setTimeout(() => this.adjust(), INSTANT_MS).unref();
  }

  /**
   * Tells the core its bound anew. Handshakes that fail on a native server that listened before are
   * noticed with the next change: until then one too many may be dropped, never let in.
   */
  adjust(): void {
    if (this.listening !== 0) hub().native.setMaxConnections(this.listening, this.room);
  }

  /** 'close' is for the last time: it comes when the core has told of its last connection. */
  private get draining(): boolean {
    return this.closing.size > 0 || this.over > 0;
  }

  private settle(): void {
    if (this.draining) return;
    if (!this.attached) this.restore?.();
    this.server._emitCloseIfDrained();
  }

  private leaving(): number {
    let count = 0;
    for (const id of this.closing) count += hub().native.connectionCount(id);
    return count;
  }

  private install(): void {
    const { server } = this;
    const { _emitCloseIfDrained: emitClose } = server;
    const own = Object.getOwnPropertyDescriptor(server, '_emitCloseIfDrained');
    this.accepted = server._connections;
    const put = (name: string, property: PropertyDescriptor): void => {
      Object.defineProperty(server, name, {
        ...property,
        enumerable: name === '_connections',
        configurable: true,
      });
    };
    put('_connections', {
      get: () => {
        const { listening } = this;
        const accepting = listening === 0 ? 0 : hub().native.connectionCount(listening);
        return this.accepted + (this.read = this.leaving() + accepting);
      },
      set: (count: number) => {
        this.accepted = count - this.read;
        this.adjust();
      },
    });
    put('_emitCloseIfDrained', {
      value: () => {
        if (!this.draining) emitClose.call(server);
      },
      writable: true,
    });
    this.restore = () => {
      this.restore = null;
      put('_connections', { value: this.accepted, writable: true });
      delete (server as Partial<NodeServer>)._emitCloseIfDrained;
      if (own !== undefined) Object.defineProperty(server, '_emitCloseIfDrained', own);
    };
  }
}

const MOST = 2 ** 32 - 1;
const INSTANT_MS = 5;
