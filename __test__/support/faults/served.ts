/** A server in a process of its own, and what it holds: before an attack, and after it. */
import { readdirSync, readFileSync } from 'node:fs';

import type { Stats } from 'offloop';
import { expect } from 'vitest';

import { Child, type ChildOptions } from './child.js';
import { until } from './settled.js';
import { attempt } from './tls-client.js';

export interface ServedOptions extends ChildOptions {
  kind?: 'offloop server' | 'acceptTls';
  /** Of the server: key and cert at least. */
  options: object;
}

/** What of a process must be as before when all connections are gone. */
export interface Footprint {
  descriptors: number;
  threads: number;
  /** Bytes. */
  rss: number;
}

const MEGABYTE = 1024 * 1024;

/** An echo server. Disposing closes it, in order and without a word on stderr. */
export class Served implements AsyncDisposable {
  static async start({
    kind = 'offloop server',
    options,
    ...child
  }: ServedOptions): Promise<Served> {
    const server = new Child('serve.cjs', {
      ...child,
      env: { SERVE: JSON.stringify({ kind, options }), ...child.env },
      // A young generation of fixed size: newer versions of Node let it grow by 50 MB.
      nodeFlags: ['--expose-gc', '--max-semi-space-size=1'],
      bound: child.bound ?? 600_000,
    });
    const { port } = await server.message<{ port: number }>();
    return new Served(server, port);
  }

  private constructor(
    readonly child: Child,
    readonly port: number,
  ) {}

  get pid(): number {
    return this.child.pid;
  }

  /** The core's counters. */
  async stats(): Promise<Stats> {
    this.child.tell('stats');
    return this.child.message();
  }

  /** A client gets its echo. */
  async serves(): Promise<void> {
    expect(await attempt(this.port)).toMatchObject({ code: null, echoed: 'ping' });
  }

  /** Measured when no connection is left. */
  async footprint(): Promise<Footprint> {
    this.child.tell('memory');
    const { rss, stats } = await this.child.message<{ rss: number; stats: object }>();
    expect(stats).toMatchObject({
      connections: { alive: 0, waiting: 0, handshaking: 0, open: 0 },
      memory: { receivedQueued: 0, sentQueued: 0, hellos: 0 },
    });
    return { rss, descriptors: descriptorsOf(this.pid), threads: threadsOf(this.pid) };
  }

  /** Resident memory at this moment, in bytes. */
  rss(): number {
    const [, pages] = readFileSync(`/proc/${this.pid}/statm`, 'utf8').split(' ');
    return Number(pages) * 4096;
  }

  /** The codes of all handshakes that failed since it was last asked. */
  async failures(): Promise<string[]> {
    this.child.tell('failures');
    const { failures } = await this.child.message<{ failures: string[] }>();
    return failures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.tell('close');
    const { code, signal, stderr } = await this.child.result;
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  }
}

/** Fails when what `before` counted does not come back; memory may grow by so many bytes. */
export async function sameFootprint(
  served: Served,
  before: Footprint,
  growth = 10 * MEGABYTE,
): Promise<void> {
  const counted = ({ descriptors, threads }: Footprint): object => ({ descriptors, threads });
  let after = await served.footprint();
  // A thread of the pool that was idle for a while ends by itself.
  const deadline = Date.now() + 20_000;
  while (after.threads > before.threads && Date.now() < deadline) after = await served.footprint();
  expect(counted(after)).toEqual({
    ...counted(before),
    threads: Math.min(after.threads, before.threads),
  });
  expect((after.rss - before.rss) / MEGABYTE).toBeLessThan(growth / MEGABYTE);
}

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function threadsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length;
}

/** Polls until the process is gone. */
export function gone(pid: number): Promise<void> {
  return until(() => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  }, `process ${pid} ends`);
}
