/**
 * The child process of a framework's program: `run.mjs <program> <way>`, the identities as JSON on
 * stdin. Runs the program the given way, and prints what came of it as JSON. It ends by itself when
 * nothing is left open.
 */
import { once } from 'node:events';
import { json } from 'node:stream/consumers';

/** A prime. */
const PERIOD = 1_048_573;

const [name, way] = process.argv.slice(2);
const identities = await json(process.stdin);

const report = {
  /** What the program noted, in order. */
  notes: [],
  /** Server's sockets that were seen, by the library that they are of. */
  sockets: { node: 0, offloop: 0, neither: 0 },
  /** Secure connections of the program's servers. */
  connections: 0,
  /** Handshakes that offloop has done. */
  handshakes: 0,
  /** Warnings of the process, those of deprecated calls in frameworks left out. */
  warnings: [],
};

process.on('warning', (warning) => {
  if (warning.name !== 'DeprecationWarning') report.warnings.push(String(warning));
});

/** Node alone has no part of offloop in its process. */
const offloop = way === 'node' ? undefined : await import('offloop');
const closings = [];
/** Libraries of secure connections, by the client's port: HTTP/2 has sockets of its own on top. */
const libraries = new Map();

/** What a program gets. */
const stage = {
  way,
  /** offloop itself, where the way is to import it. */
  offloop: way === 'import' ? offloop : undefined,
  tls: await moduleOf('tls'),
  https: await moduleOf('https'),
  http2: await moduleOf('http2'),
  ...identities,

  note(line) {
    report.notes.push(typeof line === 'string' ? line : JSON.stringify(line));
  },

  /** Shows a socket that a server serves. */
  own(socket) {
    const library = libraries.get(socket.remotePort) ?? libraryOf(socket);
    report.sockets[socket instanceof stage.tls.TLSSocket ? library : 'neither']++;
  },

  /** Takes note of so many secure connections of a server that can't be watched. */
  connected(connections) {
    report.connections += connections;
  },

  /** Watches a server that listens by itself; adopts it where that is the way. */
  watch(server) {
    if (way === 'adopt') offloop.adopt(server);
    server.on('secureConnection', (socket) => {
      libraries.set(socket.remotePort, libraryOf(socket));
      stage.connected(1);
      stage.own(socket);
    });
    return server;
  },

  /** Watches a server, listens on a free port of this machine, and closes when the program ends. */
  async serve(server) {
    stage.watch(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.atEnd(() => new Promise((resolve) => server.close(resolve)));
    return server.address().port;
  },

  /** Calls back when the program is over, the last first. */
  atEnd(close) {
    closings.push(close);
  },

  /** Bytes that tell their places: no buffer's size divides their period. */
  bytes(size) {
    const bytes = Buffer.alloc(size);
    for (let at = 0; at < size; at++) bytes[at] = ((at % PERIOD) * 2_654_435_761) >>> 24;
    return bytes;
  },
};

const { default: program } = await import(`./programs/${name}.mjs`);
await program(stage);
while (closings.length > 0) await closings.pop()();
if (offloop !== undefined) report.handshakes = offloop.stats().handshakes.done;
process.stdout.write(`${JSON.stringify(report)}\n`);

function libraryOf(socket) {
  return offloop !== undefined && socket instanceof offloop.TlsSocket ? 'offloop' : 'node';
}

async function moduleOf(builtin) {
  const module = await import(way === 'import' ? `offloop/${builtin}` : `node:${builtin}`);
  return module.default;
}
