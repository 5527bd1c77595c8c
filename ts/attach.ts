import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { isTraced } from './command-line.js';
import { type CoreOptions, coreOptions } from './core-options.js';
import { countingOf } from './counting.js';
import { knownToCopies } from './copies.js';
import { failure, received } from './errors.js';
import { contextOf, isContext, refuseStricter } from './context-of.js';
import { canFallBack, warnOfFallback } from './fallback.js';
import type { HelloCallbacks } from './hello.js';
import { http2Socket } from './http2-socket.js';
import { internalOf } from './internals.js';
import { admissionOf, settingsOf } from './limits.js';
import { Listening } from './listening.js';
import type { NativeBackends } from './native.js';
import { contextOfServer, createSecureContext, isNodeContext } from './node-context.js';
import { parseOptions } from './option.js';
import { SecureContext, type ServerPolicy } from './secure-context.js';
import type { NodeServer } from './node-server.js';
import { hideSecrets } from './secrets.js';
import { ServerContexts } from './server-contexts.js';
import { questions, ServerCore } from './server-core.js';
import type { ServerStats } from './stats.js';
import { TlsSocket } from './tls-socket.js';

/**
 * Moves a server of Node's onto the core, in place.
 *
 * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION, ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE if it is
 * there already.
 */
export function attach(server: tls.Server, options: CoreOptions): Attachment {
  if (isAttached(server))
    throw failure(
      'ERR_INVALID_ARG_VALUE',
      'server',
      'a server that is not on the core yet',
      'one that is',
    );
  const attachment = new Attachment(server as NodeServer, options);
  knownToCopies.add(server);
  cores.set(server, attachment.core);
  return attachment;
}

/** Is it on the core, of this copy of offloop or another? */
export function isAttached(server: tls.Server): boolean {
  return knownToCopies.has(server);
}

/** The core's side of a server of this copy of offloop. */
export function coreOf(server: tls.Server): ServerCore | undefined {
  return cores.get(server);
}

/** Of this copy's servers. */
const cores = new WeakMap<tls.Server, ServerCore>();

type Listener = (this: tls.Server, ...args: never[]) => void;

/** A server of Node's on the core: what was replaced in it, and the way back. */
export class Attachment {
  readonly core: ServerCore;
  private readonly listening: Listening;
  private readonly fallback: boolean;
  /** What a context of offloop's own decides where the server doesn't. */
  private readonly ownPolicy: ServerPolicy | null = null;
  /** Each undoes one change. */
  private readonly undo: (() => void)[] = [];
  private detached = false;
  /** Where a context of offloop's own was given, with which Node can't serve. */
  private ownContext: string | null = null;
  /** Where `clientHello` decides, which Node would not ask. */
  private readonly asksHello: boolean;

  constructor(
    private readonly server: NodeServer,
    options: CoreOptions,
  ) {
    const parsed = parseOptions(coreOptions, options);
    const { offload, clientHello, limits, maxConnections, fallback } = parsed;
    this.fallback = fallback;
    this.asksHello = clientHello !== undefined;
    if (fallback) refuseFallback(options);
    if (!(server instanceof tls.Server))
      throw failure(
        'ERR_INVALID_ARG_TYPE',
        'server',
        'an instance of tls.Server',
        received(server),
      );
    const theirs = nodesConnectionListener();
    if (!server.rawListeners('connection').includes(theirs)) {
      const expected = "a server with Node's own listener of 'connection'";
      throw failure('ERR_INVALID_ARG_VALUE', 'server', expected, 'one without');
    }
    refuseUnsupported(server);
    const context =
      options.context == null
        ? contextOfServer(server)
        : contextOf(ownContext(options.context), 'options.context');
    if (options.context != null) {
      this.ownPolicy = SecureContext.policy(context);
      this.ownContext = 'options.context';
    }
    const policy = policyOf(server, this.ownPolicy);
    if (this.ownPolicy !== null) refuseStricter(context, policy, 'options.context');
    const names = namedContexts(server);
    const handshakeTimeout = internalOf(server, 'handshake-timeout') as number;
    const contexts = new ServerContexts(context, policy);
    for (const [name, named] of names) contexts.add(name, named);
    this.core = new ServerCore(server, contexts, {
      settings: settingsOf(limits, {
        // As in Node, no deadline for what is below.
        handshakeTimeout:
          handshakeTimeout > 0 ? Math.min(Math.ceil(handshakeTimeout), MOST_MS) : MOST_MS,
        offload,
      }),
      admission: admissionOf(limits),
      clientHello,
      SNICallback: internalOf(server, 'snicallback') as HelloCallbacks['SNICallback'],
      trace: isTraced(internalOf(server, 'enableTrace') as boolean | undefined),
      trustedProxies: parsed.proxyProtocol,
      backends: parsed.proxyTo as NativeBackends | undefined,
    });
    this.listening = new Listening(
      server,
      this.core,
      (server as unknown as { _listen2: Listening['listen'] })._listen2,
      () => !isAlone(server.rawListeners('connection'), adopt),
    );
    const adopt = (stream: Socket | Duplex): void => this.core.adopt(stream);
    this.replaceListener('connection', theirs, adopt as Listener);
    if (isHttp2(server)) this.adaptToHttp2();
    this.overrideMethods();
    this.overrideProperties();
    this.count(maxConnections ?? server.maxConnections);
    hideSecrets(server);
    this.takeOver();
    const noticed = (event: unknown, listener: unknown): void => {
      if (event === 'connection' && listener !== adopt) this.listening.release();
      if (questions.includes(event as string)) this.core.askFromNowOn();
    };
    const removed = (event: unknown, listener: unknown): void => {
      if (event !== 'connection') return;
      // Without ours, whoever removed it wants the sockets; without the others, nobody does. Not
      // now: a listener may be replaced, and libuv may be in the middle of accepting.
      if (listener === adopt) this.listening.release();
      else process.nextTick(() => this.acceptAgain());
    };
    const emitter = server as tls.Server;
    emitter.on('newListener', noticed).on('removeListener', removed);
    this.undo.push(() => emitter.off('newListener', noticed).off('removeListener', removed));
  }

  stats(): ServerStats {
    return this.core.stats();
  }

  /**
   * Everything is Node's again, but the connections that are open.
   *
   * @throws ERR_OFFLOOP_UNSUPPORTED_OPTION if Node would be without a context that is served with
   */
  detach(): void {
    if (this.detached) return;
    if (this.ownContext !== null) {
      const reason = `Node can't serve with ${this.ownContext}, a context of offloop: nobody is shown its key`;
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'release()', reason);
    }
    this.giveBack();
  }

  private giveBack(): void {
    this.detached = true;
    knownToCopies.delete(this.server);
    this.listening.release();
    for (const undo of this.undo.splice(0).toReversed()) undo();
  }

  /** The core accepts instead of libuv, if nobody wants the sockets any more. */
  private acceptAgain(): void {
    if (this.detached) return;
    try {
      this.listening.takeOver();
    } catch {
      // Out of descriptors: libuv goes on.
    }
  }

  /** The server listens already, perhaps. What fails leaves it as it was. */
  private takeOver(): void {
    try {
      this.listening.takeOver();
    } catch (error) {
      this.giveBack();
      throw error;
    }
  }

  private overrideMethods(): void {
    const { server, core } = this;
    this.override('_listen2', this.listening.listen);
    this.override('stats', () => core.stats());
    const { addContext, setSecureContext } = server;
    this.override('addContext', (name: string, context: unknown) => {
      // Names that are none, Node refuses.
      const valid = name && typeof name === 'string';
      if (isContext(context) && !isNodeContext(context)) {
        const own = contextOf(context, 'context');
        refuseStricter(own, policyOf(server, this.ownPolicy), 'context');
        if (valid) core.addContext(name, own);
        // Nothing to look up: Node never looks.
        addContext.call(server, name, tls.createSecureContext());
        forgetReplaced(server);
        this.ownContext ??= `the context of ${name}`;
        return;
      }
      const nodes = isContext(context)
        ? (context as tls.SecureContext)
        : createSecureContext(context as tls.SecureContextOptions);
      if (valid) this.orFallBack(() => core.addContext(name, contextOf(nodes, 'context')));
      addContext.call(server, name, nodes);
      forgetReplaced(server);
    });
    const { setTicketKeys } = server;
    this.override('setTicketKeys', (keys: Uint8Array) => {
      setTicketKeys.call(server, keys as Buffer);
      core.setTicketKeys(keys);
    });
    this.override('getTicketKeys', () => core.getTicketKeys());
    this.override('setSecureContext', (options: tls.SecureContextOptions) => {
      // What the core refuses changes neither side.
      if (!this.fallback) contextOf(createSecureContext(options), 'options');
      setSecureContext.call(server, options);
      this.orFallBack(() => core.setContext(contextOfServer(server)));
    });
  }

  /** Node reads these for each connection. */
  private overrideProperties(): void {
    const { server, core } = this;
    const policyChanged = (): void => core.setPolicy(policyOf(server, this.ownPolicy));
    for (const name of ['ALPNProtocols', 'rejectUnauthorized', 'requestCert'])
      this.watch(name, policyChanged);
    this.watch('ALPNCallback', () => core.askFromNowOn());
  }

  private watch(name: string, changed: () => void): void {
    let current = (this.server as unknown as Record<string, unknown>)[name];
    this.define(name, {
      get: () => current,
      set: (value: unknown) => {
        current = value;
        changed();
      },
    });
  }

  private count(maxConnections: number | undefined): void {
    const counting = countingOf(this.server);
    counting.attach();
    this.undo.push(() => counting.detach());
    counting.maxConnections = maxConnections;
    this.define('maxConnections', {
      get: () => counting.maxConnections,
      set: (limit: number | undefined) => (counting.maxConnections = limit),
    });
  }

  /** http2 gets sockets that it can work with; all others who listen get ours. */
  private adaptToHttp2(): void {
    const theirs = nodesHttp2Listener(this.server);
    if (!this.server.rawListeners('secureConnection').includes(theirs)) return;
    this.replaceListener('secureConnection', theirs, function (
      this: tls.Server,
      socket: TlsSocket,
    ) {
      const adapted =
        socket instanceof TlsSocket && socket.alpnProtocol === 'h2' ? http2Socket(socket) : socket;
      theirs.call(this, adapted as never);
    } as Listener);
  }

  /** Replaces a listener where it stands. */
  private replaceListener(event: string, theirs: Listener, ours: Listener): void {
    const server = this.server as tls.Server;
    const put = (old: Listener, replacement: Listener): void => {
      const listeners = server.rawListeners(event) as Listener[];
      server.removeAllListeners(event);
      for (const listener of listeners)
        server.on(event, (listener === old ? replacement : listener) as never);
    };
    put(theirs, ours);
    this.undo.push(() => put(ours, theirs));
  }

  private override(name: string, method: (...args: never[]) => unknown): void {
    this.define(name, { value: method, writable: true });
  }

  private define(name: string, property: PropertyDescriptor): void {
    const { server } = this;
    const before = Object.getOwnPropertyDescriptor(server, name);
    Object.defineProperty(server, name, { ...property, configurable: true });
    this.undo.push(() => {
      const now = Object.getOwnPropertyDescriptor(server, name);
      // Somebody put another method over ours.
      if (now?.value !== property.value) return;
      const current = (server as unknown as Record<string, unknown>)[name];
      delete (server as unknown as Record<string, unknown>)[name];
      if (before !== undefined) Object.defineProperty(server, name, before);
      // What a property was set to meanwhile, Node reads from then on.
      if (property.get && current !== before?.value) Object.assign(server, { [name]: current });
    });
  }

  /** What the core can't do while the server runs makes it Node's own, if that was asked for. */
  private orFallBack(change: () => void): void {
    try {
      change();
    } catch (error) {
      const needed = this.ownContext !== null || this.asksHello;
      if (!this.fallback || needed || !canFallBack(error)) throw error;
      warnOfFallback('A server', error);
      this.detach();
    }
  }
}

const MOST_MS = 2 ** 31 - 1;

/** A fresh server of a class of Node's own, whatever `offloop/register` put in its place. */
function fresh({ constructor }: tls.Server): tls.Server {
  return new (constructor as new (options: object) => tls.Server)({});
}

/** Node's own listener of 'connection', the same for all servers. */
function nodesConnectionListener(): Listener {
  return (connectionListener ??= fresh(tls.Server.prototype).rawListeners(
    'connection',
  )[0] as Listener);
}

/** Node's own listener of 'secureConnection' of secure HTTP/2 servers, of which this is one. */
function nodesHttp2Listener(server: tls.Server): Listener {
  if (http2Listener !== undefined) return http2Listener;
  // Node exports no name of the class, and programs may have made others of it.
  let prototype = server;
  while (above(prototype) !== tls.Server.prototype) prototype = above(prototype);
  http2Listener = fresh(prototype).rawListeners('secureConnection')[0] as Listener;
  return http2Listener;
}

function above(object: object): tls.Server {
  return Object.getPrototypeOf(object) as tls.Server;
}

let connectionListener: Listener | undefined;
let http2Listener: Listener | undefined;

function isAlone(listeners: readonly unknown[], listener: unknown): boolean {
  return listeners.length === 1 && listeners[0] === listener;
}

function isHttp2(server: tls.Server): boolean {
  return 'updateSettings' in server;
}

/** Not options of one: those of the server are what it is made of. */
function ownContext(value: unknown): object {
  if (isContext(value)) return value;
  const expected = 'an instance of SecureContext';
  throw failure('ERR_INVALID_ARG_TYPE', 'options.context', expected, received(value));
}

/** Node's own server would give the plaintext to nobody, or take a header for TLS. */
function refuseFallback(options: CoreOptions): void {
  const name = (['proxyTo', 'proxyProtocol'] as const).find((each) => options[each] != null);
  if (name === undefined) return;
  const expected = `false with options.${name}, which Node does not have`;
  throw failure('ERR_INVALID_ARG_VALUE', 'options.fallback', expected, 'true');
}

function refuseUnsupported(server: tls.Server): void {
  if (internalOf(server, 'pskcallback'))
    throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', 'options.pskCallback', 'rustls knows no PSK');
}

/** Node keeps every context that was ever added; of those for one name it only uses the last. */
function forgetReplaced({ _contexts: contexts }: NodeServer): void {
  const last = contexts.at(-1)?.[0].source;
  const first = contexts.findIndex(([{ source }]) => source === last);
  if (first < contexts.length - 1) contexts.splice(first, 1);
}

/** What was added before: Node keeps each name as an expression. */
function namedContexts(server: NodeServer): [string, SecureContext][] {
  return server._contexts.map(([expression, context]) => {
    const name = expression.source.slice(1, -1).replaceAll('[^.]*', '*').replaceAll(/\\(.)/g, '$1');
    return [name, contextOf(context, `the context of ${name}`)];
  });
}

/** What the server decides for all of its contexts; what it leaves open, `context` decides. */
function policyOf(server: NodeServer, context: ServerPolicy | null): ServerPolicy {
  const { ALPNProtocols } = server as { ALPNProtocols?: Uint8Array };
  const { requestCert, rejectUnauthorized } =
    server.requestCert || context === null ? server : context;
  return {
    alpnProtocols:
      ALPNProtocols === undefined ? (context?.alpnProtocols ?? []) : protocols(ALPNProtocols),
    requestCert,
    rejectUnauthorized,
  };
}

const { convertALPNProtocols } = tls as unknown as {
  convertALPNProtocols(protocols: unknown, out: { ALPNProtocols?: Uint8Array }): void;
};

/** As Node reads them for each connection, and OpenSSL then: each after a byte with its length. */
function protocols(given: unknown): Uint8Array[] {
  const out: { ALPNProtocols?: Uint8Array } = {};
  convertALPNProtocols(given, out);
  const { ALPNProtocols: wire = new Uint8Array() } = out;
  const names: Uint8Array[] = [];
  for (let at = 0; at < wire.length; at += wire[at] + 1)
    names.push(wire.subarray(at + 1, at + 1 + wire[at]));
  return names;
}
