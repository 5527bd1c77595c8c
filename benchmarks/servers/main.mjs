// One server under load, a process of its own: `main.mjs TARGET SERVICE CERTIFICATES`, forked with
// an IPC channel. It ends with that channel, so it never outlives the harness.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { services } from './services.mjs';
import { listenAs } from './targets.mjs';
import { Vitals } from './vitals.mjs';

const [target, service, certificates] = process.argv.slice(2);

process.once('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole process group; the harness decides when this one ends.
process.on('SIGINT', () => {});

const vitals = new Vitals();
process.on('message', ({ id, collectGarbage, restartDelay }) => {
  process.send({ id, vitals: vitals.snapshot({ collectGarbage, restartDelay }) });
});

try {
  const credentials =
    target === 'plain'
      ? {}
      : {
          key: readFileSync(join(certificates, 'key.pem')),
          cert: readFileSync(join(certificates, 'cert.pem')),
        };
  const server = await listenAs(target, services[service], credentials, () => vitals.connected());
  process.send({ port: server.address().port });
} catch (error) {
  process.send({ failed: explain(error) });
}

function explain(error) {
  if (target === 'offloop' && error.code === 'ERR_MODULE_NOT_FOUND') {
    return `offloop is not built: run 'npm run build' first (${error.message})`;
  }
  return error.stack ?? String(error);
}
