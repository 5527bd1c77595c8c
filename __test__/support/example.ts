/** A program of examples/, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

import { PACKAGE } from './faults/child.js';
import { until } from './streams.js';

/** Runs until it is disposed; `output` is what it has printed, errors included. */
export class Example implements Disposable {
  output = '';
  readonly process: ChildProcess;

  /** Starts `examples/<name>` in `folder`, where its key and certificate are. */
  constructor(name: string, folder: string, env: Record<string, string> = {}) {
    const args = ['--import', HANDSHAKES, path.join(PACKAGE, 'examples', name)];
    this.process = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [this.process.stdout!, this.process.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
  }

  /** What `pattern` captures in the output, once it is there. */
  async printed(pattern: RegExp): Promise<string> {
    await until(() => pattern.test(this.output), `${String(pattern)} in ${this.output}`);
    const [whole, captured] = pattern.exec(this.output)!;
    return captured ?? whole;
  }

  async port(): Promise<number> {
    return Number(await this.printed(/^listening on (\d+)$/m));
  }

  /** How many handshakes the core has done. */
  async handshakes(): Promise<number> {
    this.process.send('handshakes');
    const [message] = (await once(this.process, 'message')) as [{ handshakes: number }];
    return message.handshakes;
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** The exit code. */
  async ended(): Promise<number | null> {
    if (this.process.exitCode === null) await once(this.process, 'exit');
    return this.process.exitCode;
  }

  [Symbol.dispose](): void {
    this.process.kill('SIGKILL');
  }
}

const HANDSHAKES = path.join(PACKAGE, '__test__/support/handshakes.mjs');
