// Ends in the phase of a connection that PHASE names: a thread by its parent, a process by itself.
/* oxlint-disable unicorn/require-post-message-target-origin -- that is for windows */
'use strict';
const tls = require('node:tls');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

const offloop = require('offloop');

function serve({ options, phase, how }, end) {
  const at = (name) => {
    if (name !== phase) return;
    if (how === 'throw') throw new Error(`on purpose: ${name}`);
    end();
  };
  at('before listen');
  const server = offloop.createServer(
    {
      ...options,
      SNICallback: (_name, callback) => {
        at('SNICallback');
        // Some phases want a connection that stays in its handshake.
        if (phase !== 'handshake') callback(null);
        else at('handshake');
      },
      ALPNProtocols: ['x'],
    },
    (socket) => {
      at('secureConnection');
      socket.on('error', () => {});
      socket.once('data', (chunk) => {
        at('data');
        socket.write(chunk, () => at('write callback'));
        socket.end();
        socket.resume();
      });
      socket.on('end', () => at('end'));
      socket.on('close', () => {
        at('close');
        server.close(() => at('server close'));
      });
    },
  );
  server.on('tlsClientError', () => at('tlsClientError'));
  server.listen(0, '127.0.0.1', () => {
    at('listening');
    const client = tls.connect({
      port: server.address().port,
      host: '127.0.0.1',
      servername: 'localhost',
      rejectUnauthorized: false,
      ALPNProtocols: [phase === 'tlsClientError' ? 'y' : 'x'],
    });
    client.on('error', () => {});
    client.write(Buffer.alloc(100_000));
    client.resume();
  });
}

if (isMainThread) {
  const settings = JSON.parse(process.env.PHASE);
  if (settings.how === 'terminate') {
    const worker = new Worker(__filename, { workerData: settings });
    worker.once('message', () => worker.terminate());
    worker.once('exit', () => process.stdout.write('{"terminated":true}\n'));
  } else {
    serve(settings, () => process.exit(0));
  }
} else {
  serve(workerData, () => parentPort.postMessage('now'));
}
