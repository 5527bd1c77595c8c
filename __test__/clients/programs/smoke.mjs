/**
 * What the built package does under a runtime that is not the tests' own. The identities come as
 * JSON on stdin; prints what it saw as JSON, one line for each part.
 */
import { once } from 'node:events';
import net from 'node:net';
import { json } from 'node:stream/consumers';
import tls from 'node:tls';

import { acceptTls, createSecureContext, createServer, stats } from 'offloop';

const { ca, server: identity, client: alice } = await json(process.stdin);
const asked = { requestCert: true, rejectUnauthorized: false, ca };

const parts = {
  async acceptTls() {
    const context = createSecureContext(identity);
    const accepted = [];
    const server = net.createServer(async (socket) => {
      const secure = await acceptTls(socket, { context });
      accepted.push(secure.getProtocol());
      secure.pipe(secure);
    });
    const echo = await talk(await listen(server));
    await close(server);
    return { accepted, echo };
  },

  async createServer() {
    const peers = [];
    const server = createServer({ ...identity, ...asked }, (socket) => {
      peers.push(socket.getPeerCertificate().subject?.CN, socket.authorized);
      socket.pipe(socket);
    });
    const echo = await talk(await listen(server), alice);
    await close(server);
    return { peers, echo };
  },

  async resumption() {
    const server = createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) =>
      socket.pipe(socket),
    );
    const port = await listen(server);
    const reused = [];
    let session;
    for (let connection = 0; connection < 2; connection++) {
      const socket = await connect(port, { session });
      reused.push(socket.isSessionReused());
      session = socket.getSession();
      socket.end();
      await once(socket.resume(), 'close');
    }
    await close(server);
    return reused;
  },

  async https() {
    const { default: https } = await import('offloop/https');
    const server = https.createServer(identity, (request, response) => request.pipe(response));
    const port = await listen(server);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
    const echoes = [];
    for (const size of [1, 100_000]) {
      const body = Buffer.alloc(size, 'x');
      const request = https.request({ host: 'localhost', port, agent, method: 'POST' });
      request.end(body);
      const [response] = await once(request, 'response');
      echoes.push(body.equals(Buffer.concat(await response.toArray())));
    }
    agent.destroy();
    await close(server);
    return echoes;
  },

  async http2() {
    const { default: http2 } = await import('offloop/http2');
    const server = http2.createSecureServer(identity, (request, response) =>
      request.pipe(response),
    );
    const session = http2.connect(`https://localhost:${await listen(server)}`, { ca });
    const bodies = [1, 1000, 100_000].map((size) => Buffer.alloc(size, 'x'));
    const echoes = await Promise.all(
      bodies.map(async (body) => {
        const stream = session.request({ ':method': 'POST' });
        stream.end(body);
        return body.equals(Buffer.concat(await stream.toArray()));
      }),
    );
    await new Promise((resolve) => session.close(resolve));
    await close(server);
    return echoes;
  },
};

for (const part of process.argv.slice(2)) say(part, await parts[part]());
say('handshakes', stats().handshakes.done);

function say(part, what) {
  process.stdout.write(`${JSON.stringify({ [part]: what })}\n`);
}

async function connect(port, options) {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** Says something, and returns what comes back. */
async function talk(port, options) {
  const socket = await connect(port, options);
  socket.write('hello');
  const [echo] = await once(socket, 'data');
  socket.end();
  await once(socket, 'close');
  return String(echo);
}

async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

function close(server) {
  return new Promise((resolve) => server.close(resolve));
}
