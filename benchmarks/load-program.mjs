// offloop-load, the client: how it is built and how it is run.
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { spawnChild } from './child.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Builds the client where cargo finds it stale; the path of the program. */
export async function buildLoadProgram(signal) {
  const args = ['build', '--release', '-p', 'offloop-bench', '--bin', 'offloop-load'];
  const cargo = spawnChild('cargo', [...args, '--message-format', 'json-render-diagnostics'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  const ended = exit(cargo, 'cargo');
  ended.catch(() => {});
  let program;
  for await (const line of createInterface({ input: cargo.stdout })) {
    const message = JSON.parse(line);
    if (message.reason === 'compiler-artifact' && message.target.name === 'offloop-load') {
      program = message.executable;
    }
  }
  await ended;
  return program;
}

/** Makes a CA, a certificate of that kind of key and the key in a folder of that name under `parent`. */
export async function makeCertificates(program, kind, parent) {
  const folder = join(parent, kind);
  await new Load(program, ['cert', '--key', kind, '--out', folder]).finished();
  return folder;
}

/** One run of the client. */
export class Load {
  #child;
  #ended;

  constructor(program, args) {
    this.#child = spawnChild(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = exit(this.#child, `offloop-load ${args[0]}`);
    this.#ended.catch(() => {});
    // It may be gone when it is told to end.
    this.#child.stdin.on('error', () => {});
  }

  /** Its lines as objects, while it runs; throws what it failed with. */
  async *lines() {
    for await (const line of createInterface({ input: this.#child.stdout })) yield JSON.parse(line);
    await this.#ended;
  }

  /** Waits for the end; its last line. */
  async finished() {
    let last;
    for await (const line of this.lines()) last = line;
    return last;
  }

  /** Tells a client that holds idle connections to end. */
  release() {
    this.#child.stdin.end();
  }

  stop() {
    this.#child.kill();
  }
}

async function exit(child, name) {
  let complaint = '';
  child.stderr?.on('data', (bytes) => (complaint += bytes));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(complaint.trim() || `${name} ended with ${signal ?? `exit code ${code}`}`);
  }
}
