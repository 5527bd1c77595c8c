import { EventEmitter, once } from 'node:events';
import type http from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import {
  type BackendOptions,
  type BackendPlace,
  backendOptions,
  type BackendsStats,
} from './backends.js';
import { type CertificateFiles, readCertificate, watchFiles } from './certificate-files.js';
import type { Drained, DrainOptions } from './drain.js';
import { failure, received } from './errors.js';
import { listenOptions, type ListenPlace } from './listen-place.js';
import { flag, own, parseOptions } from './option.js';
import { exposition } from './proxy-metrics.js';
import { createSecureContext } from './secure-context.js';
import { createServer, type Server, type ServerOptions } from './server.js';
import { type ServerStats, stats } from './stats.js';

/** What `proxy` takes beside the options of `createServer`. */
export interface ProxyOptions
  extends
    Omit<ServerOptions, 'proxyTo' | 'fallback'>,
    Partial<CertificateFiles>,
    Omit<BackendOptions, 'backends'> {
  /** Where clients connect to. */
  listen: ListenPlace;
  /** Where connections are passed on to: to the backend with the fewest. */
  to: BackendPlace | readonly BackendPlace[];
  /** Certificates for single names, `*.example.test` too. */
  sni?: readonly ({ name: string } & CertificateFiles)[] | undefined;
  /** Reload certificates when one of their files changes. Default: false. */
  watch?: boolean | undefined;
  /** Serve figures to Prometheus here, at /metrics. Default: nowhere. */
  metrics?: ListenPlace | undefined;
}

interface ProxyEvents {
  /** New connections get the certificates that the files hold now. */
  reload: [];
  /** The files hold nothing usable; the certificates from before go on. */
  reloadError: [error: Error];
}

/** The figures of a proxy. */
export interface ProxyStats extends ServerStats {
  /** Of its backends, and of what is passed on to them. */
  proxy: BackendsStats;
}

/**
 * Starts a proxy that terminates TLS: what clients send is decrypted and passed on to a backend, and
 * back, off the event loop; JavaScript sees none of it. Fulfilled when it listens.
 *
 * @throws what `createServer` does, ERR_MISSING_ARGS, and the system's errors of reading files and
 * of listening; then nothing of it is left running.
 */
export async function proxy(options: ProxyOptions): Promise<Proxy> {
  const started = new Proxy(options);
  try {
    await started._start();
  } catch (error) {
    started.close();
    throw error;
  }
  return started;
}

/** A proxy that listens. Made by `proxy`. */
export class Proxy extends EventEmitter<ProxyEvents> {
  /** The server whose connections go to the backends. */
  readonly server: Server;
  readonly #options: Files & ServerOptions;
  readonly #places: { listen: object; metrics?: object };
  #metrics: http.Server | undefined;
  #unwatch: (() => void) | undefined;

  /** @internal */
  constructor(options: ProxyOptions) {
    super();
    if (typeof options !== 'object' || options === null)
      throw failure('ERR_INVALID_ARG_TYPE', 'options', 'of type object', received(options));
    const { listen, to, metrics, watch, ...rest } = options;
    const { sendProxyProtocol, connectTimeout, checkInterval, ...server } = rest;
    if (to == null)
      throw failure('ERR_MISSING_ARGS', 'options.to', 'where connections are passed on to');
    const backends = backendOptions.backends.parse(to, 'options.to');
    const given = { sendProxyProtocol, connectTimeout, checkInterval, backends: null };
    parseOptions(backendOptions, given);
    const parsed = parseOptions({ watch: own(flag(false)) }, { watch });
    this.#places = {
      listen: listenOptions(listen, 'options.listen'),
      ...(metrics != null && { metrics: listenOptions(metrics, 'options.metrics') }),
    };
    this.#options = server;
    const { fallback } = server as ServerOptions;
    if (fallback != null)
      throw failure('ERR_INVALID_ARG_VALUE', 'options.fallback', 'absent', String(fallback));
    refuseContradictions(server);
    const contexts = this.#read();
    this.server = createServer({
      // What a client sends is not held back for company.
      noDelay: true,
      ...server,
      ...contexts.shared,
      proxyTo: { ...given, backends },
    });
    for (const [name, context] of contexts.named) this.server.addContext(name, context);
    if (parsed.watch) {
      if (this.#files.length === 0) {
        const expected = 'the names of files to watch';
        throw failure('ERR_MISSING_ARGS', 'options.certFile', expected);
      }
      this.#unwatch = watchFiles(this.#files, () => this.#reloadOrTell());
    }
  }

  /** @internal */
  async _start(): Promise<void> {
    const { listen, metrics } = this.#places;
    await listening(this.server, listen, 'options.listen');
    if (metrics === undefined) return;
    // Only here: loading it takes milliseconds of every program's start.
    const { createServer: serve } = await import('node:http');
    this.#metrics = serve((request, response) => void this.#answer(request, response));
    await listening(this.#metrics, metrics, 'options.metrics');
    // It ends with what it tells of.
    this.#metrics.unref();
  }

  /** Where it listens: an address, or the path of a Unix socket. */
  address(): AddressInfo | string | null {
    return this.server.address();
  }

  /** Where figures are served, if they are. */
  metricsAddress(): AddressInfo | string | null {
    return this.#metrics?.address() ?? null;
  }

  /** Connections, handshakes, bytes and backends. */
  stats(): ProxyStats {
    return this.server.stats() as ProxyStats;
  }

  /**
   * New connections get the certificates that the files hold now; open ones go on. Throws, and
   * changes nothing, if one can't be read or used.
   */
  reload(): void {
    const { shared, named } = this.#read();
    if (this.#options.certFile !== undefined)
      this.server.setSecureContext({ ...this.#options, ...shared });
    for (const [name, context] of named) this.server.addContext(name, context);
    this.emit('reload');
  }

  /**
   * Accepts no more, and settles when the last connection has ended; after `timeout` those that are
   * left are cut. A proxy does not know where in a protocol a connection is: idle ones end by
   * themselves or then.
   */
  async drain(options?: DrainOptions): Promise<Drained> {
    this.#unwatch?.();
    try {
      return await this.server.drain(options);
    } finally {
      this.#metrics?.close();
      this.#metrics?.closeAllConnections();
    }
  }

  /** Ends at once, connections included. */
  close(): void {
    void this.drain({ timeout: 0 });
  }

  /** Ends at once as `close` does, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain({ timeout: 0 });
  }

  get #files(): string[] {
    const { certFile, keyFile, sni = [] } = this.#options;
    const all = [
      certFile,
      keyFile,
      ...(sni ?? []).flatMap((each) => [each.certFile, each.keyFile]),
    ];
    return all.filter((file) => file !== undefined);
  }

  /** All of them are usable. */
  #read() {
    const { certFile, keyFile, sni } = this.#options;
    if ((certFile === undefined) !== (keyFile === undefined)) {
      const [missing, other] =
        keyFile === undefined ? ['keyFile', 'certFile'] : ['certFile', 'keyFile'];
      throw failure('ERR_MISSING_ARGS', `options.${missing}`, `a file beside options.${other}`);
    }
    const shared =
      certFile === undefined || keyFile === undefined ? {} : readCertificate({ certFile, keyFile });
    if (certFile !== undefined) createSecureContext(shared);
    const named = (sni ?? []).map(({ name, ...files }): [string, { cert: Buffer; key: Buffer }] => {
      const context = readCertificate(files);
      createSecureContext(context);
      return [name, context];
    });
    return { shared, named };
  }

  #reloadOrTell(): void {
    try {
      this.reload();
    } catch (error) {
      this.emit('reloadError', error as Error);
    }
  }

  #answer({ method, url = '' }: http.IncomingMessage, response: http.ServerResponse): void {
    const found = /^\/metrics(?:\?|$)/.test(url);
    const status = method !== 'GET' && method !== 'HEAD' ? 405 : found ? 200 : 404;
    const body = status === 200 ? exposition(this.stats(), stats()) : 'GET /metrics\n';
    const type = 'text/plain; version=0.0.4; charset=utf-8';
    response.writeHead(status, { 'Content-Type': type }).end(method === 'HEAD' ? '' : body);
  }
}

/** No two ways to say the same, of which one would be ignored; and one there must be. */
function refuseContradictions(options: Files & ServerOptions): void {
  const among = (names: readonly (keyof (Files & ServerOptions))[]): string | undefined =>
    names.find((name) => options[name] != null);
  const inMemory = among(['context', 'cert', 'key', 'pfx']);
  const files = among(['certFile', 'keyFile']);
  if (files !== undefined && inMemory !== undefined) throw twofold(inMemory, files);
  if (options.sni != null && options.SNICallback != null) throw twofold('SNICallback', 'sni');
  if ((files ?? inMemory ?? among(['SNICallback', 'sni'])) === undefined)
    throw failure('ERR_MISSING_ARGS', 'options.certFile', 'a certificate, and options.keyFile');
}

function twofold(name: string, other: string): Error {
  const expected = `absent with options.${other}`;
  return failure('ERR_INVALID_ARG_VALUE', `options.${name}`, expected, 'one');
}

interface Files extends Partial<CertificateFiles> {
  sni?: ProxyOptions['sni'];
}

/** An error says for which option it is. */
async function listening(server: NetServer, place: object, option: string): Promise<void> {
  server.listen(place);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw Object.assign(error as Error, { option });
  }
}
