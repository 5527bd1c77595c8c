/** The server that the clients talk to: it tells of each request what it was, and echoes bodies. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SecureServerOptions } from 'node:http2';
import type tls from 'node:tls';

import { type Listening, listen } from '../support/disposables.js';
import type { Modules } from '../support/modules.js';
import { readAll } from '../support/streams.js';

/** What a server saw of one request. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  readonly protocol: string | null;
  readonly alpn: string | false | null;
  readonly reused: boolean;
  /** Common name of the client's certificate. */
  readonly peer?: string;
}

export interface Web extends Listening<tls.Server> {
  readonly seen: Seen[];
  /** Codes of 'tlsClientError'. */
  readonly failures: string[];
  /** Secure connections so far. */
  readonly connections: () => number;
}

/**
 * Serves HTTP/2 where `options.http2` is set, else HTTP/1. A GET is answered with what was seen, as
 * JSON; anything with a body gets its body.
 */
export async function web(
  modules: Modules,
  { http2 = false, ...options }: SecureServerOptions & { http2?: boolean },
): Promise<Web> {
  const seen: Seen[] = [];
  const failures: string[] = [];
  let connections = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const socket = request.socket as tls.TLSSocket;
    const peer = socket.getPeerCertificate()?.subject?.CN as string | undefined;
    const one: Seen = {
      method: request.method!,
      path: request.url!,
      version: request.httpVersion,
      protocol: socket.getProtocol(),
      alpn: socket.alpnProtocol,
      reused: socket.isSessionReused(),
      ...(peer !== undefined && { peer }),
    };
    seen.push(one);
    // Whole, since a client may send all before it reads.
    if (request.method === 'POST') void readAll(request).then((body) => response.end(body));
    else response.end(JSON.stringify(one));
  };
  const server: tls.Server = http2
    ? modules.http2.createSecureServer(options, answer as never)
    : modules.https.createServer(options, answer);
  server.on('secureConnection', () => connections++);
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => failures.push(error.code ?? '?'));
  const listening = await listen(server);
  return {
    server,
    port: listening.port,
    seen,
    failures,
    connections: () => connections,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
