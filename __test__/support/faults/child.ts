/** Child processes: scripts of `children/`, or of a whole path, run against the built package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import path from 'node:path';

export const PACKAGE = path.resolve(import.meta.dirname, '../../..');

export interface ChildResult {
  /** The exit code, null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface ChildOptions {
  env?: Record<string, string>;
  args?: readonly string[];
  /** Node's own flags. */
  nodeFlags?: readonly string[];
  /** Most descriptors that it may have open (`ulimit -n`). */
  descriptors?: number;
  /** A command that runs what stands behind it, such as `setpriv`. */
  under?: readonly string[];
  /** Killed when it takes longer, in ms: a hang must not hang the test. */
  bound?: number;
}

/** A script that runs; `lines` are its JSON messages on stdout. */
export class Child {
  readonly result: Promise<ChildResult>;
  private readonly process: ChildProcess;
  private readonly messages: unknown[] = [];
  private readonly waiting: ((message: never) => void)[] = [];

  constructor(script: string, options: ChildOptions = {}) {
    const { env, args = [], nodeFlags = [], descriptors, under = [], bound = 40_000 } = options;
    const file = path.resolve(import.meta.dirname, 'children', script);
    const command = [...under, process.execPath, ...nodeFlags, file, ...args];
    const limited = ['sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh', ...command];
    const [program, ...rest] = descriptors === undefined ? command : limited;
    const child = spawn(program, rest, {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.process = child;
    let stdout = '';
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    createInterface(child.stdout).on('line', (line) => {
      stdout += `${line}\n`;
      if (line.startsWith('{')) this.heard(JSON.parse(line));
    });
    // What is read by nobody any more is no error.
    child.stdin.on('error', () => {});
    const killer = setTimeout(() => child.kill('SIGKILL'), bound);
    this.result = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(killer);
        resolve({ code, signal, stdout, stderr });
      });
    });
  }

  /** The next message; rejects when the child ends without one. */
  message<T>(): Promise<T> {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift() as T);
    const ended = this.result.then((result) => {
      throw new Error(`the child ended without a message: ${JSON.stringify(result)}`);
    });
    return Promise.race([
      new Promise<T>((resolve) => this.waiting.push(resolve as (message: never) => void)),
      ended,
    ]);
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** One line to its stdin. */
  tell(line: string): void {
    this.process.stdin!.write(`${line}\n`);
  }

  private heard(message: unknown): void {
    const next = this.waiting.shift();
    if (next === undefined) this.messages.push(message);
    else next(message as never);
  }
}

/** Runs a script to its end. */
export function runChild(script: string, options?: ChildOptions): Promise<ChildResult> {
  return new Child(script, options).result;
}

/** Runs `task(0)` to `task(times - 1)`, `width` of them at a time. */
export async function bounded(
  times: number,
  width: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- a lane does one at a time
    while (next < times) await task(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
