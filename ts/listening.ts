import net from 'node:net';
import { systemError } from './errors.js';
import { hub } from './hub.js';
import type { Handle, NodeServer } from './node-server.js';
import type { ServerCore } from './server-core.js';

type Listen2 = (
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number,
  fd: number | undefined,
  flags: number | undefined,
) => void;

interface NetInternals {
  /** Binds; a negative number is the system's error. */
  _createServerHandle(
    address: string | null,
    port: number | null,
    addressType: number | null,
    fd: number | undefined,
    flags: number | undefined,
  ): Handle | number;
}

const { _createServerHandle: create } = net as unknown as NetInternals;

const BACKLOG = 511;

/**
 * Who accepts on the socket that Node's `listen()` has bound: the core or libuv.
 *
 * All of `listen()` is Node's, its cluster support and errors included. Only the last step differs:
 * the handle's `listen` gives the descriptor to the core. libuv accepts instead where there is no
 * descriptor (a cluster's round robin) and where somebody wants the raw socket of each connection,
 * which the core does not make.
 */
export class Listening {
  /** What the core accepts on. */
  private handle: Handle | null = null;
  private backlog = BACKLOG;
  /** Own properties of the handle that ours stand for. */
  private readonly before: [string, PropertyDescriptor | undefined][] = [];

  constructor(
    private readonly server: NodeServer,
    private readonly core: ServerCore,
    private readonly listen2: Listen2,
    /** Does anybody want raw sockets? */
    private readonly wantsSockets: () => boolean,
  ) {}

  /** In the place of `_listen2`, which Node calls when everything else about listening is clear. */
  readonly listen: Listen2 = (address, port, addressType, backlog, fd, flags) => {
    const { server } = this;
    const refusal = this.needsLibuv() ? null : refusalOfCore();
    if (refusal !== null) return refuse(server, refusal);
    let isOurs = false;
    let place: { address: string | null; type: number | null } = { address, type: addressType };
    if (!server._handle && !this.needsLibuv()) {
      const bound = bindHandle(address, port, addressType, fd, flags);
      // A failure is for Node to report: it tries again.
      if (bound !== null) {
        place = bound;
        server._handle = bound.handle;
        isOurs = typeof fd !== 'number';
      }
    }
    if (server._handle && !this.needsLibuv() && hasDescriptor(server._handle))
      this.take(server._handle, isOurs);
    this.listen2.call(server, place.address, port, place.type, backlog, fd, flags);
  };

  /**
   * The server listens already. libuv can't stop accepting on a handle, so the core takes a
   * duplicate of its descriptor, and Node gets a handle of another. Not where closing the old one
   * would do more: a Unix socket's path would go, and a cluster's primary would hear of it.
   */
  takeOver(): void {
    const { server } = this;
    const old = server._handle;
    if (!old || old.constructor.name !== 'TCP' || Object.hasOwn(old, 'close')) return;
    if (this.needsLibuv() || (old.fd ?? -1) < 0) return;
    const descriptor = hub().native.duplicate(old.fd!);
    if (descriptor < 0) throw systemError(descriptor, 'dup');
    const handle = create(null, null, null, descriptor, 0) as Handle;
    for (const key of Reflect.ownKeys(old))
      Object.defineProperty(handle, key, Object.getOwnPropertyDescriptor(old, key)!);
    this.take(handle, false);
    const errno = handle.listen(BACKLOG);
    if (errno !== 0) {
      handle.close();
      throw systemError(errno, 'listen');
    }
    server._handle = handle;
    old.close();
    if (server._unref) handle.unref();
  }

  /** Somebody wants raw sockets from now on, or the server leaves the core: libuv accepts. */
  release(): void {
    const { handle } = this;
    if (handle === null) return;
    this.giveBack(handle);
    handle.listen(this.backlog);
    if (!this.server._unref) handle.ref();
  }

  private needsLibuv(): boolean {
    return this.server.blockList !== undefined || this.wantsSockets();
  }

  /** The core accepts on this handle as soon as Node makes it listen. */
  private take(handle: Handle, isOurs: boolean): void {
    const overrides: Partial<Handle> = {
      listen: (backlog) => {
        // libuv reports an address in use only now.
        const refused = handle.getsockname?.({}) ?? 0;
        if (refused !== 0) return refused;
        this.backlog = backlog;
        const { errno = 0 } = this.core.listen(handle.fd!, backlog, isOurs);
        if (errno === 0) this.handle = handle;
        return errno;
      },
      close: (callback) => {
        this.giveBack(handle);
        handle.close(callback);
      },
      ref: () => this.core.ref(true),
      unref: () => this.core.ref(false),
      hasRef: () => this.core.hasRef,
    };
    for (const [name, value] of Object.entries(overrides)) {
      // A cluster's worker tells the primary with a `close` of its own.
      this.before.push([name, Object.getOwnPropertyDescriptor(handle, name)]);
      Object.defineProperty(handle, name, { value, configurable: true, writable: true });
    }
  }

  /** The handle is as Node made it again. */
  private giveBack(handle: Handle): void {
    for (const [name, property] of this.before.splice(0)) {
      if (property === undefined) delete (handle as unknown as Record<string, unknown>)[name];
      else Object.defineProperty(handle, name, property);
    }
    if (this.handle !== handle) return;
    this.handle = null;
    this.core.stopListening();
  }
}

/** Why the core does not start, which it does on first use: the system has no threads left. */
function refusalOfCore(): unknown {
  try {
    hub();
    return null;
  } catch (error) {
    return error;
  }
}

/** As Node does where listening fails. */
function refuse(server: NodeServer, error: unknown): void {
  server._handle?.close();
  server._handle = null;
  process.nextTick(() => server.emit('error', error));
}

/** A bound handle is the core's unless libuv accepts on it already. */
function hasDescriptor(handle: Handle): boolean {
  const kind = handle.constructor.name;
  return (kind === 'TCP' || kind === 'Pipe') && (handle.fd ?? -1) >= 0 && !handle.onconnection;
}

/** As net.Server binds: without an address on any, IPv6 where there is one. */
function bindHandle(
  address: string | null,
  port: number | null,
  type: number | null,
  fd: number | undefined,
  flags: number | undefined,
): { handle: Handle; address: string | null; type: number | null } | null {
  const places: [string | null, number | null][] =
    address || typeof fd === 'number'
      ? [[address, type]]
      : [
          ['::', 6],
          ['0.0.0.0', 4],
        ];
  for (const [place, family] of places) {
    const handle = create(place, port, family, fd, flags);
    if (typeof handle !== 'number') return { handle, address: place, type: family };
  }
  return null;
}
