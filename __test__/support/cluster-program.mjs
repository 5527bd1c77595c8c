/**
 * A cluster whose workers serve TLS on one port; asked by CLUSTER, JSON: { options, policy, workers,
 * clients }. The primary prints who served each client, and what tickets were good for.
 */
import cluster from 'node:cluster';
import tls from 'node:tls';

import { createServer, TlsSocket } from 'offloop';

const { options, policy, workers, clients, exclusive } = JSON.parse(process.env.CLUSTER);

if (cluster.isPrimary) {
  cluster.schedulingPolicy = cluster[policy];
  const ports = await Promise.all(
    Array.from(
      { length: workers },
      () =>
        new Promise((resolve) => {
          cluster.fork().once('message', ({ port }) => resolve(port));
        }),
    ),
  );
  const served = [];
  let session;
  for (let i = 0; i < clients; i++) {
    const client = tls.connect({
      port: ports[i % ports.length],
      rejectUnauthorized: false,
      session,
    });
    client.on('session', (ticket) => (session = ticket));
    const said = await new Promise((resolve, reject) => {
      let text = '';
      client.on('data', (chunk) => (text += chunk)).on('error', reject);
      client.on('close', () => resolve(text));
    });
    const [worker, kind, reused] = said.split(' ');
    served.push({ worker, kind, reused: reused === 'true' });
  }
  const all = Object.values(cluster.workers);
  for (const worker of all) worker.send('close');
  await Promise.all(all.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  const afterwards = await new Promise((resolve) => {
    const late = tls.connect({ port: ports[0], rejectUnauthorized: false });
    late.on('error', ({ code }) => resolve(code)).on('secureConnect', () => resolve('served'));
  });
  for (const worker of all) worker.send('leave');
  const codes = await Promise.all(
    Object.values(cluster.workers).map(
      (worker) => new Promise((resolve) => worker.once('exit', (code) => resolve(code))),
    ),
  );
  console.log(
    JSON.stringify({
      ports: new Set(ports).size,
      workers: new Set(served.map(({ worker }) => worker)).size,
      kinds: [...new Set(served.map(({ kind }) => kind))],
      afterwards,
      reused: served.slice(1).every(({ reused }) => reused),
      codes,
    }),
  );
} else {
  const server = createServer(options, (socket) => {
    const kind = socket instanceof TlsSocket ? 'core' : 'node';
    socket.end(`${cluster.worker.id} ${kind} ${socket.isSessionReused()}`);
  });
  server.listen({ port: 0, exclusive }, () => process.send({ port: server.address().port }));
  process.on('message', (wish) => {
    if (wish === 'close') server.close(() => process.send('closed'));
    else process.disconnect();
  });
}
