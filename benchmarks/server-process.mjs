// A server under load, seen from the harness.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { forkChild } from './child.mjs';

const main = fileURLToPath(new URL('./servers/main.mjs', import.meta.url));

export class ServerProcess {
  #child;
  #asked = new Map();
  #nextId = 1;
  port;

  /** Starts a fresh process of `node` (path of a Node binary) and waits until it listens. */
  static async start({ target, service, certificates, node = process.execPath }) {
    const server = new ServerProcess();
    server.#child = forkChild(main, [target, service, certificates], {
      execPath: node,
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const ended = once(server.#child, 'exit').then(([code, signal]) => {
      throw new Error(`the server of ${target} ended at its start (${signal ?? code})`);
    });
    const [message] = await Promise.race([once(server.#child, 'message'), ended]);
    ended.catch(() => {});
    if (message.failed) {
      await server.stop();
      throw new Error(message.failed);
    }
    server.port = message.port;
    server.#child.on('message', ({ id, vitals }) => server.#answered(id, { vitals }));
    server.#child.once('exit', (code, signal) => {
      const error = new Error(`the server of ${target} ended by itself (${signal ?? code})`);
      for (const id of server.#asked.keys()) server.#answered(id, { error });
    });
    return server;
  }

  /** What the server knows of itself now: see servers/vitals.mjs. */
  vitals(wishes = {}) {
    if (!this.#child.connected) return Promise.reject(new Error('the server is gone'));
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#asked.set(id, { resolve, reject });
      this.#child.send({ id, ...wishes });
    });
  }

  /** Ends the process and waits for its end. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    // A process that doesn't notice that its channel closed.
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    if (this.#child.connected) this.#child.disconnect();
    await ended;
    clearTimeout(impatience);
  }

  #answered(id, { vitals, error }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) asked?.reject(error);
    else asked?.resolve(vitals);
  }
}
