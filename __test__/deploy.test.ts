/** A deploy: a new process takes over the port while the old one drains. No request is lost. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import path from 'node:path';

import { expect, test } from 'vitest';

import { Authority } from './support/certificates.js';
import { OTHER_NODES } from './support/runtimes.js';
import { readAll } from './support/streams.js';

// `reusePort` came with Node 23.1 and 22.12.
const { binary } = OTHER_NODES.find(({ name }) => name === 'Node 24')!;
const program = path.join(import.meta.dirname, 'support/deployed.mjs');

async function start(options: object, port = 0): Promise<[ChildProcess, number]> {
  const env = { ...process.env, DEPLOYED: JSON.stringify({ options, port }) };
  const child = fork(program, { execPath: binary, env });
  const [message] = (await once(child, 'message')) as [{ port: number }];
  return [child, message.port];
}

test('three deploys under load lose no request', async () => {
  const { key, cert } = await (await Authority.create()).issue();
  const options = { key, cert };
  const [first, port] = await start(options);
  let current = first;
  const clients = new Clients(port);
  try {
    await clients.areServedBy(current.pid!);
    for (let deploy = 0; deploy < 3; deploy++) {
      const [next] = await start(options, port);
      const drained = once(current, 'message');
      const exited = once(current, 'exit');
      current.kill('SIGTERM');
      expect((await drained)[0]).toEqual({ forced: 0 });
      expect(await exited).toEqual([0, null]);
      current = next;
      await clients.areServedBy(current.pid!);
    }
  } finally {
    const failures = await clients.stop();
    current.kill('SIGKILL');
    expect(failures).toEqual([]);
  }
});

/** Clients of each kind, each with one request after the other. */
class Clients {
  private stopped = false;
  /** Who answered each client last. */
  private readonly servedBy: (number | undefined)[] = [];
  private readonly failures: unknown[] = [];
  private readonly loops: Promise<void>[] = [];
  private changed = (): void => {};

  constructor(private readonly port: number) {
    for (let client = 0; client < 8; client++) {
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
      this.repeat(() => this.get(agent));
      this.repeat(() => this.get(new https.Agent()));
      const session = new Session(port);
      this.repeat(() => session.get());
    }
  }

  /** Resolves when that process has answered every client. */
  async areServedBy(pid: number): Promise<void> {
    while (this.servedBy.some((by) => by !== pid) && this.failures.length === 0)
      await new Promise<void>((resolve) => (this.changed = resolve));
  }

  async stop(): Promise<unknown[]> {
    this.stopped = true;
    await Promise.all(this.loops);
    return this.failures;
  }

  private repeat(request: () => Promise<string>): void {
    const client = this.servedBy.push(undefined) - 1;
    const loop = async (): Promise<void> => {
      while (!this.stopped) {
        try {
          this.servedBy[client] = Number(await request());
        } catch (error) {
          this.failures.push(error);
        }
        this.changed();
      }
    };
    this.loops.push(loop());
  }

  private get(agent: https.Agent): Promise<string> {
    return new Promise((resolve, reject) => {
      const { port } = this;
      https
        .get({ port, agent, rejectUnauthorized: false }, (response) => {
          readAll(response).then((body) => resolve(String(body)), reject);
        })
        .on('error', reject);
    });
  }
}

/** An HTTP/2 client that goes on with a new session when it is told to go away. */
class Session {
  private session: http2.ClientHttp2Session | undefined;

  constructor(private readonly port: number) {}

  async get(): Promise<string> {
    if (this.session === undefined || this.session.closed || this.session.destroyed) {
      const session = http2.connect(`https://127.0.0.1:${this.port}`, {
        rejectUnauthorized: false,
      });
      session.on('error', () => {});
      this.session = session;
    }
    const stream = this.session.request();
    const [headers] = await once(stream, 'response');
    if (headers[':status'] !== 200) throw new Error(`status ${headers[':status']}`);
    return String(await readAll(stream));
  }
}
