/** Python's ssl module and http.client against an https server. */
import path from 'node:path';

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

const program = path.join(import.meta.dirname, 'programs/client.py');

describe.each(libraries)('Python and $name', (modules) => {
  commandIt('python3', 'connects, resumes, shows its certificate, keeps alive', async () => {
    const asked = { requestCert: true, rejectUnauthorized: false, ca: ids.ca };
    await using server = await web(modules, { ...asked, ...ids.options('server') });
    const { code, stdout, stderr } = await run('python3', [
      program,
      String(server.port),
      ids.file(''),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      '1.2': ['TLSv1.2', 'http/1.1', 'localhost'],
      '1.2 resumed': [true, true],
      '1.3': ['TLSv1.3', 'http/1.1', 'localhost'],
      '1.3 resumed': [true, true],
      peer: 'alice',
      echo: true,
    });
  });
});
