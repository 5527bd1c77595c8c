/** What the system refuses: descriptors, threads, space on the disk, the right time. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type tls from 'node:tls';

import { createServer } from 'offloop';
import { beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Issued } from '../support/certificates.js';
import { connect, listen } from '../support/disposables.js';
import { bounded, Child } from '../support/faults/child.js';
import { commandIt, has } from '../support/faults/commands.js';
import { RawClient } from '../support/faults/raw-client.js';
import { Served } from '../support/faults/served.js';
import { attempt } from '../support/faults/tls-client.js';
import { readExactly } from '../support/streams.js';

let options: Pick<Issued, 'key' | 'cert'>;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
});

describe('ulimit -n 256', () => {
  it('new clients wait, open connections go on, and all is well when some are gone', async () => {
    const served = await Served.start({ options, descriptors: 256 });
    const open: tls.TLSSocket[] = [];
    await bounded(50, 10, async () => {
      const client = connect(served.port);
      client.on('error', () => {});
      await once(client, 'secureConnect');
      open.push(client);
    });
    const more = await Promise.all(
      Array.from({ length: 300 }, () => RawClient.connect(served.port)),
    );
    expect(await served.child.message()).toEqual({ event: 'acceptError', code: 'EMFILE' });
    for (const client of open) {
      client.write('still');
      // oxlint-disable-next-line no-await-in-loop -- each of them
      expect(String(await readExactly(client, 5))).toBe('still');
    }
    const waiting = attempt(served.port);
    for (const client of more) client.reset();
    expect(await waiting).toMatchObject({ code: null, echoed: 'ping' });
    for (const client of open) client.destroy();
    served.child.tell('close');
    expect(await served.child.result).toMatchObject({ code: 0, signal: null, stderr: '' });
  });
});

describe('threads that cannot be made', () => {
  /** Root may make threads whatever the limit; a user of its own has no others. */
  const possible = process.getuid?.() === 0 && has('setpriv') && has('prlimit');

  it.skipIf(!possible)(
    "are an 'error' of listen() with a code, and it serves when they can",
    async () => {
      const child = new Child('starved.cjs', {
        env: { STARVED: JSON.stringify({ options }) },
        under: as(54_321),
      });
      await child.message();
      limit(54_321, child.pid, threadsOf(child.pid));
      child.tell('go');
      const answer = await child.message<{ code: string; message: string; listening: boolean }>();
      expect(answer).toMatchObject({ code: 'ERR_OFFLOOP_INTERNAL', listening: false });
      expect(answer.message).toContain('Resource temporarily unavailable');
      limit(54_321, child.pid, 1000);
      child.tell('go');
      const { port } = await child.message<{ port: number }>();
      expect(await attempt(port)).toMatchObject({ code: null, echoed: 'ping' });
      expect(await child.result).toMatchObject({ code: 0, signal: null });
    },
  );

  it.skipIf(!possible)(
    'of the pool: refused or served meanwhile, and served when they can',
    async () => {
      const child = new Child('starved.cjs', {
        env: { STARVED: JSON.stringify({ options: { ...options, offload: 'always' } }) },
        under: as(54_322),
      });
      await child.message();
      child.tell('go');
      const { port } = await child.message<{ port: number }>();
      limit(54_322, child.pid, threadsOf(child.pid));
      const outcome = await attempt(port);
      // Refused or served: the process lives, and serves when there are threads again.
      expect([null, 'ECONNRESET', 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR']).toContain(outcome.code);
      limit(54_322, child.pid, 1000);
      if (outcome.code !== null) {
        expect(await attempt(port)).toMatchObject({ code: null, echoed: 'ping' });
      }
      expect(await child.result).toMatchObject({ code: 0, signal: null });
    },
  );
});

describe('a full disk', () => {
  it("fails the program's own key log, and no connection", async () => {
    const full = openSync('/dev/full', 'w');
    const errors: unknown[] = [];
    const server = createServer(options, (socket) => void socket.pipe(socket));
    server.on('keylog', (line: Buffer) => {
      try {
        writeSync(full, line);
      } catch (error) {
        errors.push((error as NodeJS.ErrnoException).code);
      }
    });
    await using listening = await listen(server as never);
    expect(await attempt(listening.port)).toMatchObject({ code: null, echoed: 'ping' });
    expect(new Set(errors)).toEqual(new Set(['ENOSPC']));
  });
});

describe('a clock that jumps', () => {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const LIBRARY = `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`;

  commandIt('faketime', 'ends sessions, and never a connection', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'offloop-clock-'));
    const file = path.join(folder, 'offset');
    try {
      writeFileSync(file, '+0\n');
      await using served = await Served.start({
        options,
        env: {
          LD_PRELOAD: LIBRARY,
          FAKETIME_TIMESTAMP_FILE: file,
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      });
      const open = connect(served.port);
      await once(open, 'secureConnect');
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        writeFileSync(file, '+0\n');
        const { session } = await attempt(served.port, { maxVersion });
        const resume = async (offset: string): Promise<boolean> => {
          writeFileSync(file, `${offset}\n`);
          const outcome = await attempt(served.port, { maxVersion, session: session! });
          expect(outcome).toMatchObject({ code: null, echoed: 'ping' });
          return outcome.reused;
        };
        expect(await resume('+0')).toBe(true);
        expect(await resume('+10d')).toBe(false);
        // Back again, and before the ticket was made.
        await resume('+0');
        await resume('-10d');
      }
      open.write('still');
      expect(String(await readExactly(open, 5))).toBe('still');
      open.destroy();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A command that runs another as a user without privileges. */
function as(user: number): string[] {
  return ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
}

/** Sets the soft limit `nproc` of a process of this user, by a program of the same user. */
function limit(user: number, pid: number, threads: number): void {
  const [command, ...rest] = [...as(user), 'prlimit', `--pid=${pid}`, `--nproc=${threads}:`];
  execFileSync(command, rest);
}

function threadsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length;
}
