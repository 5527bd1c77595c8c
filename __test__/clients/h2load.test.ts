/** h2load: many connections and streams at once, of HTTP/2 and of HTTP/1.1. */
import { afterAll, beforeAll, describe, expect } from 'vitest';

import { commandIt, run } from '../support/faults/commands.js';
import { libraries } from '../support/modules.js';
import { Identities } from './identities.js';
import { web } from './web.js';

let ids: Identities;
beforeAll(async () => {
  ids = await Identities.create();
});
afterAll(() => ids[Symbol.dispose]());

describe.each(libraries)('h2load and $name', (modules) => {
  for (const [name, protocol, flags] of [
    ['HTTP/2', 'h2', []],
    ['HTTP/1.1', 'http/1.1', ['--h1']],
  ] as const) {
    commandIt('h2load', `all requests of ${name} succeed`, async () => {
      const options = { http2: true, allowHTTP1: true, ...ids.options('server') };
      await using server = await web(modules, options);
      const load = ['--requests', '2000', '--clients', '20', '--max-concurrent-streams', '10'];
      const url = `https://localhost:${server.port}/`;
      const { code, stdout } = await run('h2load', [...load, ...flags, url]);
      expect(code).toBe(0);
      expect(stdout).toContain(`Application protocol: ${protocol}`);
      expect(stdout).toContain('TLS Protocol: TLSv1.3');
      expect(stdout).toMatch(/2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout/);
      expect(server.connections()).toBe(20);
    });
  }

  commandIt('h2load', 'connections that carry one request each succeed', async () => {
    await using server = await web(modules, { http2: true, ...ids.options('server') });
    // As many clients as requests: each handshakes for its own.
    const load = ['--requests', '200', '--clients', '200', '--max-concurrent-streams', '1'];
    const url = `https://localhost:${server.port}/`;
    const { code, stdout } = await run('h2load', [...load, url]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/200 done, 200 succeeded, 0 failed, 0 errored, 0 timeout/);
    expect(server.connections()).toBe(200);
  });
});
