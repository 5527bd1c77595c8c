/** The programs of README.md run, each in a project that has the package and a certificate. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Authority } from './support/certificates.js';
import { PACKAGE } from './support/faults/child.js';

const readme = readFileSync(path.join(PACKAGE, 'README.md'), 'utf8');
const programs = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, source]) => source);

/** Visits the first server that listens, and ends the program with what it answered. */
const visitor = `
import net from 'node:net';
import tls from 'node:tls';
import { stats } from 'offloop';

const { emit } = net.Server.prototype;
net.Server.prototype.emit = function (event, ...args) {
  if (event === 'listening') visit(this.address().port);
  return emit.call(this, event, ...args);
};

function visit(port) {
  let reply = '';
  const socket = tls.connect({ port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.write('GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n');
  socket.on('data', (chunk) => (reply += chunk));
  socket.on('close', () => {
    console.log(JSON.stringify({ reply, handshakes: stats().handshakes.done }));
    process.exit();
  });
}
`;

let project: string;

beforeAll(async () => {
  project = mkdtempSync(path.join(tmpdir(), 'offloop-readme-'));
  mkdirSync(path.join(project, 'node_modules'));
  symlinkSync(PACKAGE, path.join(project, 'node_modules/offloop'));
  const { key, cert } = await (await Authority.create()).issue();
  writeFileSync(path.join(project, 'key.pem'), key);
  writeFileSync(path.join(project, 'cert.pem'), cert);
  writeFileSync(path.join(project, 'visitor.mjs'), visitor);
});
afterAll(() => rmSync(project, { recursive: true }));

async function run(name: string, source: string, flags: string[]): Promise<unknown> {
  // Any port that is free.
  writeFileSync(path.join(project, name), source.replaceAll('8443', '0'));
  const args = [...flags, '--import', './visitor.mjs', name];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: project,
    timeout: 30_000,
  });
  return JSON.parse(stdout);
}

const greeting = { reply: expect.stringContaining('hello\n'), handshakes: 1 };

describe('README.md', () => {
  it.each(programs.map((source, i): [number, string] => [i + 1, source]))(
    'program %i serves a client, off the event loop',
    async (i, source) => {
      expect(await run(`program-${i}.mjs`, source, [])).toEqual(greeting);
    },
  );

  it('offloop/register does so for a program of node:https', async () => {
    const [first] = programs;
    const source = first.replace("'offloop/https'", "'node:https'");
    expect(source).not.toBe(first);
    const flags = ['--require', 'offloop/register'];
    expect(await run('registered.mjs', source, flags)).toEqual(greeting);
  });

  it('has programs for each way in that takes one', () => {
    expect(programs).toHaveLength(3);
  });
});
