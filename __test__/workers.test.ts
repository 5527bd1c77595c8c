/** worker_threads: a hub for each, ended cleanly whichever way a worker ends. */
import tls from 'node:tls';

import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from './support/certificates.js';
import { bounded, Child, runChild } from './support/faults/child.js';
import { clientHello } from './support/faults/client-hello.js';
import { attempt } from './support/faults/tls-client.js';

let options: Pick<Issued, 'key' | 'cert'>;
let hello: string;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
  hello = (await clientHello()).toString('base64');
});

describe('servers in several workers', () => {
  it('serve at once, each in its own thread, and end cleanly', async () => {
    const child = new Child('worker-servers.cjs', {
      env: { WORKERS: JSON.stringify({ options, workers: 3 }) },
    });
    const { ports } = await child.message<{ ports: Record<string, number> }>();
    const threads = Object.entries(ports);
    expect(threads).toHaveLength(4);
    await Promise.all(
      threads.map(async ([id, port]) => {
        const answers = await Promise.all(
          Array.from({ length: 5 }, (_, i) => attempt(port, {}, `hello ${i}`)),
        );
        answers.forEach(({ echoed }, i) => expect(echoed).toBe(`${id}:hello ${i}`));
      }),
    );

    // One open connection to each while the workers end.
    const open = await Promise.all(threads.map(([, port]) => connected(port)));
    const closed = open.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    child.tell('end');
    expect(await child.message()).toEqual({ terminated: true });
    const gone = Math.min(...threads.map(([id]) => Number(id)).filter((id) => id > 0));
    await closed[threads.findIndex(([id]) => Number(id) === gone)];

    // The others serve their connections to the end.
    for (const [i, [id]] of threads.entries()) {
      if (Number(id) === gone) continue;
      const answer = new Promise((resolve) => open[i].once('data', resolve));
      open[i].write('last');
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(String(await answer)).toBe(`${id}:last`);
      open[i].end();
    }
    const { codes } = await child.message<{ codes: number[] }>();
    expect(codes).toEqual([0, 0]);
    expect(await child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
  });
});

describe('workers one after the other', () => {
  it('load the package that the main thread never loads', async () => {
    const { code, signal, stderr } = await runChild('worker-loads.cjs');
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  });
});

describe('worker.terminate() in the middle of a storm', () => {
  it.each([
    ['the main thread uses the package too', true],
    ['workers alone use the package', false],
  ])('is clean, 50 times, when %s', async (_name, mainToo) => {
    const ROUNDS = 5;
    await bounded(10, 2, async () => {
      const STORM = JSON.stringify({ options, hello, clients: 40, rounds: ROUNDS, mainToo });
      const child = await runChild('terminate-storm.cjs', { env: { STORM } });
      expect(child).toEqual({
        code: 0,
        signal: null,
        stdout: `${JSON.stringify({ rounds: ROUNDS })}\n`,
        stderr: '',
      });
    });
  });
});

function connected(port: number): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      socket.off('error', reject);
      // A worker that is terminated takes its connections with it.
      socket.on('error', () => {});
      socket.resume();
      resolve(socket);
    });
  });
}
