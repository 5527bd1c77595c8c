// Servers in several workers and the main thread at once; each says which thread it is.
/* oxlint-disable unicorn/require-post-message-target-origin -- that is for windows */
'use strict';
const { Worker, isMainThread, parentPort, threadId, workerData } = require('node:worker_threads');

const offloop = require('offloop');

function serve(options, ready) {
  const server = offloop.createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(`${threadId}:${chunk}`));
  });
  server.listen(0, '127.0.0.1', () => ready(server.address().port));
  return server;
}

if (isMainThread) {
  const { options, workers } = JSON.parse(process.env.WORKERS);
  const ports = {};
  const all = [];
  const ready = (id, port) => {
    ports[id] = port;
    if (Object.keys(ports).length === workers + 1) {
      process.stdout.write(`${JSON.stringify({ ports })}\n`);
    }
  };
  const own = serve(options, (port) => ready(0, port));
  for (let i = 0; i < workers; i++) {
    const worker = new Worker(__filename, { workerData: options });
    worker.once('message', (port) => ready(worker.threadId, port));
    all.push(worker);
  }
  process.stdin.once('data', async () => {
    process.stdin.destroy();
    const [first, ...others] = all;
    // One is terminated with its connections alive, the others end by themselves.
    await first.terminate();
    process.stdout.write(`${JSON.stringify({ terminated: true })}\n`);
    for (const worker of others) worker.postMessage('end');
    own.close();
    const codes = await Promise.all(
      others.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
    );
    process.stdout.write(`${JSON.stringify({ codes, stats: offloop.stats() })}\n`);
  });
} else {
  const server = serve(workerData, (port) => parentPort.postMessage(port));
  parentPort.once('message', () => server.close());
}
