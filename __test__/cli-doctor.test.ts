/** `offloop doctor`: each finding, of systems as they might be and of real certificates. */
import { createPrivateKey } from 'node:crypto';
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type * as cgroup from '../dist/doctor/cgroup.js';
import type * as core from '../dist/doctor/core.js';
import type { Finding, Level } from '../dist/doctor/finding.js';
import type * as network from '../dist/doctor/network.js';
import type * as resources from '../dist/doctor/resources.js';
import type { LoadedCore, System } from '../dist/doctor/system.js';
import { expectOneLine, offloop } from './support/cli.js';
import { Authority, type Issued } from './support/certificates.js';
import { PACKAGE } from './support/faults/child.js';
import { commandIt, run } from './support/faults/commands.js';
import { odd } from './support/odd-certificates.js';

const require = createRequire(import.meta.url);
const { cpuQuota } = require('../dist/doctor/cgroup.js') as typeof cgroup;
const { coreFindings } = require('../dist/doctor/core.js') as typeof core;
const { networkFindings } = require('../dist/doctor/network.js') as typeof network;
const { resourceFindings } = require('../dist/doctor/resources.js') as typeof resources;

const inDays = (days: number): Date => new Date(Date.now() + days * 86_400_000);

interface Report {
  readonly offloop: string;
  readonly findings: readonly Finding[];
}

async function doctor(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await offloop(['doctor', ...args, '--json'], { env });
  expect(stderr).toBe('');
  const { findings } = JSON.parse(stdout) as Report;
  // The exit code says nothing else.
  expect(code).toBe(findings.some(({ level }) => level === 'problem') ? 1 : 0);
  return findings;
}

/** Some finding is of this level, about this, and says this; what is not ok says what to do. */
function expectFinding(findings: readonly Finding[], level: Level, about: string, words: RegExp) {
  const lines = findings.map((each) => `${each.level}: ${each.about}: ${each.text}`);
  const start = `${level}: ${about}: `;
  const found = lines.filter((line) => line.startsWith(start) && words.test(line));
  expect(found, lines.join('\n')).toHaveLength(1);
  for (const { level: each, advice } of findings)
    if (each === 'warning' || each === 'problem') expect(advice).toMatch(/\S/);
}

describe('this machine', () => {
  it('is looked at as it is', async () => {
    const findings = await doctor([]);
    expectFinding(findings, 'ok', 'platform', new RegExp(`${process.platform} ${process.arch}`));
    expectFinding(findings, 'ok', 'Node', new RegExp(`${process.versions.node} with OpenSSL \\d`));
    expectFinding(findings, 'ok', 'backend', /native: .*\boffloop\.[\w-]+\.node$/);
    expectFinding(
      findings,
      'ok',
      'core',
      /rustls 0\.\d+\.\d+, aws-lc-rs \d+\.\d+\.\d+, tokio 1\.\d+/,
    );
    expectFinding(findings, 'ok', 'random numbers', /getrandom|getentropy/);
    const abouts = new Set(findings.map(({ about }) => about));
    for (const about of ['descriptors', 'listen queue', 'kernel TLS', 'CPUs', 'threads', 'memory'])
      expect(abouts).toContain(about);
  });

  it('is told of in lines, with a summary', async () => {
    const { code, stdout } = await offloop(['doctor'], { env: { UV_THREADPOOL_SIZE: '16' } });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.at(-1)).toMatch(/^\d+ problems?, \d+ warnings?$/);
    expect(code).toBe(lines.at(-1)!.startsWith('0 problems') ? 0 : 1);
    for (const line of lines.slice(0, -2))
      expect(line).toMatch(/^((ok|note|warning|problem) +\S.* {2}\S| +-> \S)/);
    expect(stdout).toMatch(
      /^note +libuv +UV_THREADPOOL_SIZE is 16, .*\n +-> OFFLOOP_POOL_THREADS/m,
    );
  });

  it('has as many threads as its environment says, and says when that is wrong', async () => {
    const set = await doctor([], { OFFLOOP_IO_THREADS: '1', OFFLOOP_POOL_THREADS: '1' });
    expectFinding(set, 'ok', 'threads', /1 for I\/O, 1 for handshakes/);
    const many = await doctor([], { OFFLOOP_POOL_THREADS: '900' });
    expectFinding(many, 'warning', 'threads', /900 for handshakes: more than/);
    const bad = await doctor([], { OFFLOOP_POOL_THREADS: 'many' });
    expectFinding(bad, 'problem', 'threads', /OFFLOOP_POOL_THREADS must be a number .* got 'many'/);
  });

  commandIt('sh', 'has the limit of open files that its shell sets', async () => {
    const cli = path.join(import.meta.dirname, '../dist/cli.js');
    const script = 'ulimit -n 1000; exec "$@"';
    const args = ['-c', script, 'sh', process.execPath, cli, 'doctor', '--json'];
    const { findings } = JSON.parse((await run('sh', args)).stdout) as Report;
    expectFinding(findings, 'warning', 'descriptors', /^warning: descriptors: 1,000 open files/);
  });
});

describe('a package', () => {
  let root: string;
  let binary: string;

  beforeAll(() => {
    root = mkdtempSync(path.join(tmpdir(), 'offloop-copy-'));
    for (const part of ['dist', 'native', 'package.json'])
      cpSync(path.join(PACKAGE, part), path.join(root, part), { recursive: true });
    binary = path.join(
      root,
      'native',
      readdirSync(path.join(root, 'native')).find((name) => name.endsWith('.node'))!,
    );
  });
  afterAll(() => rmSync(root, { recursive: true }));

  const findings = async () => {
    const { code, stdout } = await offloop(['doctor', '--json'], { root });
    expect(code).toBe(1);
    return (JSON.parse(stdout) as Report).findings;
  };

  it('whose binary can not be loaded has a problem, and says which', async () => {
    writeFileSync(binary, 'garbage');
    expectFinding(
      await findings(),
      'problem',
      'backend',
      /no binary could be loaded: .*offloop\.\S+\.node/,
    );
  });

  it('without its binary has one too, and its other commands are one line', async () => {
    rmSync(binary);
    expectFinding(await findings(), 'problem', 'backend', /none for this platform is installed/);
    const cert = await offloop(['cert', '--out', root], { root });
    expectOneLine(cert, 1, /the native core can't be loaded: offloop doctor says why/);
    expect((await offloop(['cert', '--help'], { root })).code).toBe(0);
  });
});

const MIB = 1024 * 1024;

const loadedCore: LoadedCore = {
  file: '/app/offloop.node',
  versions: { rustls: '0.23.46', awsLcRs: '1.19.0', tokio: '1.54.1' },
  entropy: 'ready',
  threads: { io: 4, pool: 8 },
};

const healthySettings: Record<string, string> = {
  'net.core.somaxconn': '4096',
  'net.ipv4.tcp_max_syn_backlog': '2048',
  'net.ipv4.tcp_syncookies': '1',
  'net.ipv4.tcp_available_ulp': 'mptcp tls',
};

type Changes = Partial<Omit<System, 'read' | 'sysctl'>> & {
  files?: Record<string, string>;
  settings?: Record<string, string>;
};

/** A server as one wants it, but for these. */
function system({ files = {}, settings = {}, ...changes }: Changes = {}): System {
  const all: Record<string, string> = { ...healthySettings, ...settings };
  return {
    platform: 'linux',
    arch: 'x64',
    release: '6.1.0',
    glibc: '2.36',
    node: '22.12.0',
    openssl: '3.0.15',
    env: {},
    cpus: 8,
    memory: { total: 16_384 * MIB, limit: undefined, heap: 4096 * MIB },
    descriptors: { soft: 1_048_576, hard: 1_048_576 },
    core: loadedCore,
    ...changes,
    read: (file) => files[file],
    sysctl: (name) => all[name],
  };
}

const findingsOf = (each: System): Finding[] => [
  ...coreFindings(each, '20.19'),
  ...networkFindings(each),
  ...resourceFindings(each),
];

/** A cgroup of version 2 with this `cpu.max`. */
const quota = (max: string): Record<string, string> => ({
  '/proc/self/cgroup': '0::/app\n',
  '/sys/fs/cgroup/app/cpu.max': max,
});

describe('a system', () => {
  it('in order has nothing but ok', () => {
    expect(findingsOf(system()).filter(({ level }) => level !== 'ok')).toEqual([]);
  });

  const found: [string, Changes, Level, string, RegExp][] = [
    ['with an old Node', { node: '20.18.3' }, 'problem', 'Node', /20\.18\.3/],
    ['with a just new enough Node', { node: '20.19.0' }, 'ok', 'Node', /20\.19\.0/],
    ['with a newer Node', { node: '100.0.0' }, 'ok', 'Node', /100\.0\.0/],
    ['with musl', { glibc: undefined }, 'ok', 'platform', /kernel 6\.1\.0$/],
    [
      'without a binary',
      { core: { error: 'Cannot find native binding.' } },
      'problem',
      'backend',
      /no binary could be loaded: Cannot find native binding/,
    ],
    [
      'that has just started',
      { core: { ...loadedCore, entropy: 'EAGAIN' } },
      'problem',
      'random numbers',
      /not gathered enough entropy/,
    ],
    [
      'that forbids getrandom',
      { core: { ...loadedCore, entropy: 'ENOSYS' } },
      'problem',
      'random numbers',
      /getrandom\(2\) fails \(ENOSYS\)/,
    ],
    [
      'with another source',
      { core: { ...loadedCore, entropy: null } },
      'ok',
      'random numbers',
      /getentropy/,
    ],
    [
      'with few descriptors',
      { descriptors: { soft: 1024, hard: 4096 } },
      'warning',
      'descriptors',
      /1,024 open files \(hard limit: 4,096\)/,
    ],
    [
      'with unlimited descriptors',
      { descriptors: { soft: 'unlimited', hard: 'unlimited' } },
      'ok',
      'descriptors',
      /unlimited/,
    ],
    [
      'that does not tell its descriptors',
      { descriptors: undefined },
      'note',
      'descriptors',
      /not tell/,
    ],
    [
      'with a short queue',
      { settings: { 'net.core.somaxconn': '128' } },
      'warning',
      'listen queue',
      /somaxconn is 128, less than the 511/,
    ],
    [
      'with a queue of the default',
      { settings: { 'net.core.somaxconn': '511' } },
      'ok',
      'listen queue',
      /somaxconn is 511$/,
    ],
    [
      'without SYN cookies',
      { settings: { 'net.ipv4.tcp_max_syn_backlog': '128', 'net.ipv4.tcp_syncookies': '0' } },
      'warning',
      'half-open',
      /tcp_max_syn_backlog is 128, and without SYN cookies/,
    ],
    [
      'with SYN cookies',
      { settings: { 'net.ipv4.tcp_max_syn_backlog': '128' } },
      'note',
      'half-open',
      /tcp_max_syn_backlog is 128; SYN cookies/,
    ],
    [
      'without kernel TLS',
      { settings: { 'net.ipv4.tcp_available_ulp': 'mptcp' } },
      'note',
      'kernel TLS',
      /not loaded/,
    ],
    [
      'with the module of kernel TLS',
      {
        settings: { 'net.ipv4.tcp_available_ulp': '' },
        files: { '/proc/modules': 'nls_utf8 1 0\ntls 118784 0 - Live 0x0\n' },
      },
      'ok',
      'kernel TLS',
      /available/,
    ],
    [
      'with counters of kernel TLS',
      {
        settings: { 'net.ipv4.tcp_available_ulp': '' },
        files: { '/proc/net/tls_stat': 'TlsCurrTxSw 0\n' },
      },
      'ok',
      'kernel TLS',
      /available/,
    ],
    ['that is a Mac', { platform: 'darwin' }, 'note', 'kernel TLS', /Linux alone/],
    [
      'that is a Mac with its queue',
      { platform: 'darwin', settings: { 'kern.ipc.somaxconn': '128' } },
      'warning',
      'listen queue',
      /kern\.ipc\.somaxconn is 128/,
    ],
    [
      'with half a CPU',
      { files: quota('50000 100000') },
      'warning',
      'CPUs',
      /8, with a cgroup quota of 0\.5/,
    ],
    ['with one and a half', { files: quota('150000 100000') }, 'note', 'CPUs', /quota of 1\.5/],
    ['with four', { files: quota('400000 100000') }, 'ok', 'CPUs', /quota of 4/],
    [
      'with one CPU',
      { cpus: 1, core: { ...loadedCore, threads: { io: 1, pool: 1 } } },
      'note',
      'CPUs',
      /^note: CPUs: 1, without/,
    ],
    [
      'with more threads than its quota',
      {
        files: quota('200000 100000'),
        env: { OFFLOOP_IO_THREADS: '4', OFFLOOP_POOL_THREADS: '8' },
      },
      'warning',
      'threads',
      /4 for I\/O, 8 for handshakes: more than the 2 CPUs/,
    ],
    [
      'with threads that can not be started',
      { core: { ...loadedCore, threads: { error: 'OFFLOOP_IO_THREADS must be a number' } } },
      'problem',
      'threads',
      /OFFLOOP_IO_THREADS must be/,
    ],
    [
      "with a size of libuv's pool",
      { env: { UV_THREADPOOL_SIZE: '64' } },
      'note',
      'libuv',
      /is 64/,
    ],
    [
      'with little memory',
      { memory: { total: 16_384 * MIB, limit: 200 * MIB, heap: 100 * MIB } },
      'warning',
      'memory',
      /limit of 200 MiB; connections may hold 128 MiB of it/,
    ],
    [
      'with little memory that is known of',
      {
        memory: { total: 16_384 * MIB, limit: 200 * MIB, heap: 100 * MIB },
        env: { OFFLOOP_BUFFERED_BYTES: String(16 * MIB) },
      },
      'ok',
      'memory',
      /connections may hold 32 MiB$/,
    ],
    [
      'with a heap above its limit',
      { memory: { total: 16_384 * MIB, limit: 1024 * MIB, heap: 2048 * MIB } },
      'note',
      'memory',
      /heap 2,048 MiB/,
    ],
  ];
  it.each(found)('%s', (_, changes, level, about, words) => {
    expectFinding(findingsOf(system(changes)), level, about, words);
  });

  it('says what number of threads fits', () => {
    const findings = findingsOf(
      system({ files: quota('200000 100000'), env: { OFFLOOP_POOL_THREADS: '8' } }),
    );
    const advice = findings.find(({ about }) => about === 'threads')!.advice;
    expect(advice).toBe('Unset OFFLOOP_POOL_THREADS, or set it to 2 at most.');
  });
});

describe('the quota of CPUs', () => {
  const cases: [string, Record<string, string>, number | undefined][] = [
    ['is absent without cgroups', {}, undefined],
    ['is absent when there is none', quota('max 100000'), undefined],
    ['is read of version 2', quota('150000 100000\n'), 1.5],
    [
      'is the least of the groups around',
      {
        '/proc/self/cgroup': '0::/pod/app\n',
        '/sys/fs/cgroup/pod/app/cpu.max': '800000 100000',
        '/sys/fs/cgroup/pod/cpu.max': '200000 100000',
      },
      2,
    ],
    [
      "is found in a container that shows the host's path",
      { '/proc/self/cgroup': '0::/kubepods/pod1/2\n', '/sys/fs/cgroup/cpu.max': '50000 100000' },
      0.5,
    ],
    [
      'is read of version 1',
      {
        '/proc/self/cgroup': '5:cpuset:/\n4:cpu,cpuacct:/docker/1\n0::/\n',
        '/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us': '250000\n',
        '/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us': '100000\n',
      },
      2.5,
    ],
    [
      'is read of version 1 under its short name',
      {
        '/proc/self/cgroup': '4:cpu:/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '100000',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '50000',
      },
      2,
    ],
    [
      'is absent where version 1 has -1',
      {
        '/proc/self/cgroup': '4:cpu:/\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      },
      undefined,
    ],
  ];
  it.each(cases)('%s', (_, files, wanted) => {
    expect(cpuQuota(system({ files }))).toBe(wanted);
  });
});

describe('certificates', () => {
  let folder: string;
  let authority: Authority;
  let issued: Issued;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'offloop-doctor-'));
    authority = await Authority.create();
    issued = await authority.issue({ notAfter: inDays(60) });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  let written = 0;
  function file(text: string, mode = 0o600): string {
    const name = path.join(folder, `${++written}.pem`);
    writeFileSync(name, text, { mode });
    return name;
  }

  interface Given {
    readonly cert: string;
    readonly key?: string;
    readonly ca?: string;
    readonly names?: readonly string[];
  }

  /** The findings about certificates alone. */
  async function check({ cert, key, ca, names = [] }: Given): Promise<readonly Finding[]> {
    const findings = await doctor([
      '--cert',
      file(cert),
      ...(key === undefined ? [] : ['--key', file(key)]),
      ...(ca === undefined ? [] : ['--ca', file(ca)]),
      ...names.flatMap((name) => ['--name', name]),
    ]);
    return findings.slice(findings.findIndex(({ about }) => about === 'chain order'));
  }

  it('in order have nothing but ok', async () => {
    const intermediate = await authority.subordinate('Intermediate');
    const { cert, key } = await intermediate.issue({
      names: ['*.a.test', '10.0.0.5'],
      notAfter: inDays(60),
    });
    const names = ['www.a.test', '10.0.0.5'];
    const findings = await check({
      cert: `${cert}\n${intermediate.cert}`,
      key,
      ca: authority.cert,
      names,
    });
    // The intermediate of these tests is valid for a day.
    expect(findings.filter(({ level }) => level !== 'ok').map(({ text }) => text)).toEqual([
      expect.stringMatching(/^Intermediate ends in 0 days/),
    ]);
    expectFinding(findings, 'ok', 'chain order', /2 certificates/);
    expectFinding(findings, 'ok', 'validity', /localhost is valid until/);
    expectFinding(findings, 'ok', 'names', /www\.a\.test is among them/);
    expectFinding(findings, 'ok', 'names', /10\.0\.0\.5 is among them/);
    expectFinding(findings, 'ok', 'strength', /ec on prime256v1, ec on prime256v1/);
    expectFinding(findings, 'ok', 'key', /it is that of localhost/);
    expectFinding(findings, 'ok', 'serving', /the core takes them/);
    expectFinding(findings, 'ok', 'trust', /the chain leads to Test authority/);
  });

  it('out of their time', async () => {
    const expired = await check(await authority.issue({ notAfter: inDays(-0.01) }));
    expectFinding(expired, 'problem', 'validity', /localhost has expired/);
    const early = await check(await authority.issue({ notBefore: inDays(1), notAfter: inDays(2) }));
    expectFinding(early, 'problem', 'validity', /localhost is not valid before/);
    const soon = await check(await authority.issue({ notAfter: inDays(10.5) }));
    expectFinding(soon, 'warning', 'validity', /localhost ends in 10 days/);
    const later = await check(await authority.issue({ notAfter: inDays(14.5) }));
    expectFinding(later, 'ok', 'validity', /localhost is valid until/);
  });

  it('in the wrong order', async () => {
    const outer = await authority.subordinate('Outer');
    const inner = await odd({ ca: true, subject: 'CN=Inner' });
    const { cert, key } = await outer.issue({ notAfter: inDays(60) });
    const ca = authority.cert;
    const last = await check({ cert: `${outer.cert}\n${cert}`, key, ca });
    expectFinding(last, 'problem', 'chain order', /server's certificate is number 2/);
    // Without the key too: a CA is nobody's server.
    const keyless = await check({ cert: `${outer.cert}\n${cert}`, ca });
    expectFinding(keyless, 'problem', 'chain order', /server's certificate is number 2/);
    const stranger = await check({ cert: `${cert}\n${inner.cert}${outer.cert}`, key, ca });
    expectFinding(stranger, 'warning', 'chain order', /not of this chain.*: Inner$/);
    const root = await check({ cert: `${cert}\n${outer.cert}\n${ca}`, key, ca });
    expectFinding(root, 'note', 'chain order', /the root Test authority is sent too, \d+ bytes/);
    const mixed = await check({ cert: `${cert}\n${ca}\n${outer.cert}`, key, ca });
    expectFinding(mixed, 'warning', 'chain order', /not each certificate certifies the one before/);
    const advice = mixed.find(({ level }) => level === 'warning')!.advice;
    expect(advice).toBe('The right order is 1, 3, 2.');
  });

  it('whose chain does not reach a root', async () => {
    const outer = await authority.subordinate('Outer');
    const { cert, key } = await outer.issue({ notAfter: inDays(60) });
    const known = await check({ cert, key, ca: authority.cert });
    expectFinding(
      known,
      'problem',
      'trust',
      /Outer, which issued localhost, is neither in the file/,
    );
    const unknown = await check({ cert, key });
    expectFinding(unknown, 'warning', 'trust', /nor among the roots that Node trusts/);
    const whole = await check({ cert: `${cert}\n${outer.cert}\n${authority.cert}`, key });
    expectFinding(whole, 'warning', 'trust', /the root Test authority is not among/);

    const issuer = await odd({ ca: true, subject: 'CN=Public CA' });
    const issuerUrl = 'http://ca.test/public.crt';
    const publicly = await check(await odd({ issuer, issuerUrl }));
    expectFinding(publicly, 'problem', 'trust', /Public CA, which issued odd\.test/);
    const { advice } = publicly.find(({ about }) => about === 'trust')!;
    expect(advice).toContain(`append it, in PEM, to the file. The CA has it at ${issuerUrl}.`);
  });

  it('that are self-signed', async () => {
    const { cert, key } = await odd({ names: ['a.test'] });
    expectFinding(await check({ cert, key }), 'warning', 'trust', /odd\.test is self-signed/);
    const strict = await check({ cert, key, ca: authority.cert });
    expectFinding(strict, 'problem', 'trust', /self-signed, and not among the roots in --ca/);
    expectFinding(await check({ cert, key, ca: cert }), 'ok', 'trust', /leads to odd\.test/);
    const root = await odd({ ca: true });
    expectFinding(await check(root), 'warning', 'purpose', /that of a CA/);
  });

  it('of another name', async () => {
    const { cert } = issued;
    const findings = await check({ cert, names: ['www.example.test', '192.0.2.1', 'LOCALHOST'] });
    expectFinding(findings, 'problem', 'names', /www\.example\.test is not among DNS:localhost/);
    expectFinding(findings, 'problem', 'names', /192\.0\.2\.1 is not among/);
    expectFinding(findings, 'ok', 'names', /localhost is among them/);
    expectFinding(await check({ cert }), 'ok', 'names', /DNS:localhost, IP Address:127\.0\.0\.1/);
    // The common name counts for nothing.
    const nameless = await check({ ...(await odd({ names: null })), names: ['odd.test'] });
    expectFinding(nameless, 'problem', 'names', /odd\.test names no host/);
  });

  it('of another purpose', async () => {
    const client = await authority.issue({ use: 'client' });
    expectFinding(await check(client), 'problem', 'purpose', /localhost is not for TLS servers/);
  });

  it('of another key, and a key that others can read', async () => {
    const other = await authority.issue();
    const findings = await check({ cert: issued.cert, key: other.key });
    expectFinding(findings, 'problem', 'key', /it is not that of localhost/);
    const open = file(issued.key);
    chmodSync(open, 0o644);
    const loose = await doctor(['--cert', file(issued.cert), '--key', open]);
    expectFinding(loose, 'warning', 'key', /others than its owner .*\(mode 644\)/);
  });

  it('with weak keys', async () => {
    const findings = await check(await odd({ rsaBits: 1024 }));
    expectFinding(
      findings,
      'problem',
      'strength',
      /the key of odd\.test is weak: rsa of 1024 bits/,
    );
    const strong = await check(await odd({ rsaBits: 2048 }));
    expectFinding(strong, 'ok', 'strength', /rsa of 2048 bits/);
    const issuer = await odd({ ca: true, rsaBits: 1024, subject: 'CN=Old CA' });
    const { cert, key } = await odd({ issuer });
    const chain = await check({ cert: cert + issuer.cert, key });
    expectFinding(chain, 'problem', 'strength', /the key of Old CA is weak/);
  });

  it('with weak signatures', async () => {
    const issuer = await odd({ ca: true, rsaBits: 2048, hash: 'SHA-1', subject: 'CN=Old CA' });
    const { cert, key } = await odd({ issuer, hash: 'SHA-1', rsaBits: 2048 });
    const findings = await check({ cert: cert + issuer.cert, key });
    // The root's own is checked by nobody.
    expectFinding(findings, 'problem', 'strength', /odd\.test is signed with SHA-1/);
    const ecdsa = await check(await odd({ hash: 'SHA-1' }));
    expectFinding(ecdsa, 'problem', 'strength', /odd\.test is signed with SHA-1/);
    const sha384 = await check(await odd({ hash: 'SHA-384' }));
    expectFinding(sha384, 'ok', 'strength', /ec on/);
  });

  const signatures: [string, string[], Level, RegExp][] = [
    ['MD5', ['-md5'], 'problem', /signed with MD5/],
    ['PSS and SHA-1', ['-sha1', '-sigopt', 'rsa_padding_mode:pss'], 'problem', /signed with SHA-1/],
    ['PSS and SHA-256', ['-sha256', '-sigopt', 'rsa_padding_mode:pss'], 'ok', /rsa of 2048 bits/],
  ];
  for (const [name, args, level, words] of signatures) {
    commandIt('openssl', `signed with ${name}`, async () => {
      const cert = path.join(folder, `${name}.pem`);
      const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '/dev/null'];
      const subject = ['-subj', '/CN=a.test', '-addext', 'basicConstraints=CA:FALSE', '-out', cert];
      const { code, output } = await run('openssl', [...made, ...args, ...subject]);
      expect(code, output).toBe(0);
      expectFinding(await doctor(['--cert', cert]), level, 'strength', words);
    });
  }

  commandIt('openssl', 'that the core can not serve', async () => {
    const [cert, key] = [path.join(folder, 'k1.pem'), path.join(folder, 'k1-key.pem')];
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'];
    const files = ['-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=a.test'];
    expect((await run('openssl', [...made, ...files])).code).toBe(0);
    const findings = await doctor(['--cert', cert, '--key', key]);
    expectFinding(findings, 'problem', 'serving', /\S/);
  });

  describe('that are bad input are one line:', () => {
    const cases: [string, () => string[], number, RegExp][] = [
      [
        'missing',
        () => ['--cert', path.join(folder, 'none')],
        1,
        /can't read .*none \(no such file or directory\): --cert must name/,
      ],
      [
        'a folder',
        () => ['--cert', folder],
        1,
        /can't read .* \(illegal operation on a directory\)/,
      ],
      [
        'garbage',
        () => ['--cert', file('garbage')],
        1,
        /--cert: .*holds no certificate: expected PEM/,
      ],
      ['cut off', () => ['--cert', file(issued.cert.slice(0, 200))], 1, /certificate 1 is cut off/],
      [
        'damaged',
        () => ['--cert', file(issued.cert.replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'))],
        1,
        /certificate 1 can't be read .*: expected X\.509 in PEM/,
      ],
      ['keys', () => ['--cert', file(issued.key)], 1, /--cert: .*holds no certificate/],
      [
        'a key that is missing',
        () => ['--cert', file(issued.cert), '--key', path.join(folder, 'none')],
        1,
        /--key must name/,
      ],
      [
        'a key that is garbage',
        () => ['--cert', file(issued.cert), '--key', file('x')],
        1,
        /--key: .* holds no private key: expected PEM/,
      ],
      [
        'a CA that is garbage',
        () => ['--cert', file(issued.cert), '--ca', file('x')],
        1,
        /--ca: .*holds no certificate/,
      ],
      ['a key alone', () => ['--key', file(issued.key)], 2, /--key says nothing without --cert/],
      ['a name alone', () => ['--name', 'a.test'], 2, /--name says nothing without --cert/],
      [
        'a name that is none',
        () => ['--cert', file(issued.cert), '--name', 'a b'],
        2,
        /'a b' is no name of a server/,
      ],
    ];
    it.each(cases)('%s', async (_, args, code, words) => {
      expectOneLine(await offloop(['doctor', ...args()]), code, words);
    });

    it('an encrypted key', async () => {
      const key = createPrivateKey(issued.key)
        .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
        .toString();
      const ended = await offloop(['doctor', '--cert', file(issued.cert), '--key', file(key)]);
      expectOneLine(ended, 1, /is encrypted: leave --key out, or name a decrypted copy/);
    });

    it('a key that must not be read', async () => {
      chmodSync(folder, 0o755);
      const [cert, key] = [file(issued.cert, 0o644), file(issued.key, 0o600)];
      // Root may read everything: as nobody.
      const uid = process.getuid!() === 0 ? { uid: 65_534 } : {};
      if (process.getuid!() !== 0) chmodSync(key, 0);
      const ended = await offloop(['doctor', '--cert', cert, '--key', key], uid);
      expectOneLine(ended, 1, /can't read .* \(permission denied\): --key must name/);
    });
  });
});
