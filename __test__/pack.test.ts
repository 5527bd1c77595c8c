/** The packages as they are published: packed, installed into an empty folder without a registry, run. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Identities } from './clients/identities.js';
import { PACKAGE } from './support/faults/child.js';
import { commandIt, run } from './support/faults/commands.js';
import { OTHER_NODES } from './support/runtimes.js';

interface Manifest {
  version: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies: Record<string, string>;
  scripts?: Record<string, string>;
  private?: boolean;
}

const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;

const folder = mkdtempSync(path.join(tmpdir(), 'offloop-pack-'));
const packages = path.join(folder, 'npm');
const project = path.join(folder, 'project');
const main = path.join(project, 'node_modules/offloop');
/** The package of this machine's platform. */
let platform: string;
let printed: string;
let ids: Identities;

/** Node and npm, and nothing else but what every system has: no Rust, no compiler. */
const bare: NodeJS.ProcessEnv = {
  HOME: folder,
  PATH: path.join(folder, 'bin'),
  npm_config_cache: path.join(folder, 'cache'),
};

beforeAll(async () => {
  ids = await Identities.create();
  printed = execFileSync(process.execPath, [path.join(PACKAGE, 'scripts/pack.mjs'), packages], {
    encoding: 'utf8',
  });
  const names = readdirSync(packages).filter((name) => name !== 'offloop' && name !== 'symbols');
  platform = names.find((name) => name.startsWith(`${process.platform}-${process.arch}`))!;
  mkdirSync(path.join(folder, 'bin'));
  symlinkSync(process.execPath, path.join(folder, 'bin/node'));
  mkdirSync(project);
  writeFileSync(path.join(project, 'package.json'), '{"private":true}');
  const tarballs = ['offloop', platform].map((name) => {
    const args = ['pack', '--json', '--pack-destination', folder];
    const packed = npm(args, path.join(packages, name));
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    return path.join(folder, filename);
  });
  npm(['install', '--offline', '--no-audit', '--no-fund', ...tarballs], project);
}, 120_000);
afterAll(() => {
  ids[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

function npm(args: string[], cwd: string): string {
  const cli = execFileSync('sh', ['-c', 'realpath "$(command -v npm)"'], { encoding: 'utf8' });
  const options = { cwd, env: bare, encoding: 'utf8', stdio: 'pipe' } as const;
  return execFileSync(process.execPath, [cli.trim(), ...args], options);
}

function sections(file: string): string {
  return execFileSync('readelf', ['-S', '-W', file], { encoding: 'utf8' });
}

/** A program of the development dependencies. */
function bin(name: string): string {
  return path.join(PACKAGE, 'node_modules', name);
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.relative(directory, path.join(parentPath, name)))
    .toSorted();
}

describe('what is installed', () => {
  it('has no dependency but the binaries, each of its own version', () => {
    const { version, optionalDependencies, ...rest } = manifestOf(main);
    expect(Object.keys(optionalDependencies).toSorted()).toEqual([
      '@offloop/darwin-arm64',
      '@offloop/darwin-x64',
      '@offloop/linux-arm64-gnu',
      '@offloop/linux-arm64-musl',
      '@offloop/linux-x64-gnu',
      '@offloop/linux-x64-musl',
    ]);
    expect(new Set(Object.values(optionalDependencies))).toEqual(new Set([version]));
    for (const absent of ['dependencies', 'devDependencies', 'scripts', 'private'])
      expect(rest).not.toHaveProperty(absent);
    const installed = readdirSync(path.join(project, 'node_modules')).filter((n) => n[0] !== '.');
    expect(installed).toEqual(['@offloop', 'offloop']);
    expect(readdirSync(path.join(project, 'node_modules/@offloop'))).toEqual([platform]);
  });

  it('is JavaScript, types and papers, and one binary', () => {
    const strays = files(main).filter(
      (file) =>
        !/^dist\/.*(\.m?js|\.d\.m?ts)$|^types\/.*\.d\.m?ts$|^[A-Z]+(\.md)?$/.test(file) &&
        file !== 'package.json',
    );
    expect(strays).toEqual([]);
    expect(files(path.join(project, 'node_modules/@offloop', platform))).toEqual([
      'LICENSE',
      'README.md',
      `offloop.${platform}.node`,
      'package.json',
    ]);
  });

  it('takes less than 6,000,000 bytes', () => {
    const bytes = files(path.join(project, 'node_modules'))
      .map((file) => readFileSync(path.join(project, 'node_modules', file)).length)
      .reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeLessThan(6_000_000);
    expect(printed).toContain(`@offloop/${platform}: `);
  });

  commandIt('readelf', 'is stripped, and its symbols are kept aside', () => {
    const name = `offloop.${platform}.node`;
    const stripped = sections(path.join(project, 'node_modules/@offloop', platform, name));
    expect(stripped).not.toContain('.symtab');
    expect(stripped).toContain('.gnu_debuglink');
    expect(sections(path.join(packages, 'symbols', `${name}.debug`))).toContain('.symtab');
  });

  commandIt('readelf', 'needs the glibc that was printed, and none newer', () => {
    if (!platform.endsWith('gnu')) return;
    const file = path.join(packages, platform, `offloop.${platform}.node`);
    const needs = execFileSync('readelf', ['-V', '-W', file], { encoding: 'utf8' });
    const versions = [...needs.matchAll(/Name: GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    expect(printed).toContain(`needs glibc 2.${Math.max(...versions)}`);
  });
});

describe('installed without Rust and without a registry', () => {
  const parts = ['acceptTls', 'createServer', 'resumption', 'https', 'http2'];
  const own = { name: `Node ${process.versions.node.split('.')[0]}`, binary: process.execPath };

  for (const { name, binary } of [own, ...OTHER_NODES])
    commandIt(binary, `serves under ${name}`, async () => {
      copyFileSync(
        path.join(import.meta.dirname, 'clients/programs/smoke.mjs'),
        path.join(project, 'smoke.mjs'),
      );
      const input = { ca: ids.ca, server: ids.options('server'), client: ids.options('client') };
      const program = path.join(project, 'smoke.mjs');
      const { code, stdout, stderr } = await run(
        binary,
        [program, ...parts],
        JSON.stringify(input),
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const handshakes = JSON.parse(stdout.trim().split('\n').at(-1)!) as object;
      expect(handshakes).toEqual({ handshakes: 6 });
    });

  it('serves, as the workflows try it on each platform', () => {
    const program = path.join(PACKAGE, 'scripts/smoke.mjs');
    const said = execFileSync(process.execPath, [program, packages], { encoding: 'utf8' });
    expect(said).toContain('{"handshakes":5}');
  });

  it('loads nothing that only a part of its users needs', () => {
    const program = `require('offloop'); process.stdout.write(process.moduleLoadList.join())`;
    const options = { cwd: project, env: bare, encoding: 'utf8' } as const;
    const loaded = execFileSync(process.execPath, ['-e', program], options).split(',');
    // Each costs milliseconds of a start that is to cost less than 15.
    const dear = new Set(['http', 'https', 'http2', 'worker_threads', 'inspector']);
    expect(loaded).toContain('NativeModule tls');
    expect(loaded.filter((name) => dear.has(name.replace('NativeModule ', '')))).toEqual([]);
  });
});

describe('the types that are published', () => {
  it('are those of the JavaScript beside them, to attw, and the manifest is right to publint', () => {
    const tarball = readdirSync(folder).find((name) => /^offloop-\d.*\.tgz$/.test(name))!;
    const attw = [
      bin('@arethetypeswrong/cli/dist/index.js'),
      '--profile',
      'node16',
      '--format',
      'json',
    ];
    const { analysis } = JSON.parse(
      execFileSync(process.execPath, [...attw, path.join(folder, tarball)], { encoding: 'utf8' }),
    ) as { analysis: { problems: { resolutionKind: string }[]; entrypoints: object } };
    // Resolution of Node 10 knows no exports; TypeScript 6 has no more of it.
    expect(analysis.problems.filter(({ resolutionKind }) => resolutionKind !== 'node10')).toEqual(
      [],
    );
    expect(Object.keys(analysis.entrypoints)).toContain('./https');
    for (const name of ['offloop', platform]) {
      const args = [bin('publint/src/cli.js'), 'run', '--strict', '--pack', 'false'];
      const said = execFileSync(process.execPath, [...args, path.join(packages, name)], {
        encoding: 'utf8',
      });
      expect(said).toContain('All good!');
    }
  });

  const program = `
    import { acceptTls, backend, createServer, type ServerOptions, type TlsSocket } from 'offloop';
    import https from 'offloop/https';
    import 'offloop/register';
    const options: ServerOptions = { limits: { handshakes: 5 }, offload: 'auto' };
    createServer(options, (socket: TlsSocket) => socket.end(String(socket.handshake?.cipher)));
    https.createServer((request, response) => void response.end(request.url));
    export const which: 'native' | 'node' = backend;
    void acceptTls;
    // @ts-expect-error -- not a limit
    createServer({ limits: { handshake: 5 } });
  `;

  it.each([
    ['node16', 'node16', ['esm.mts', 'cjs.cts']],
    ['preserve', 'bundler', ['bundled.ts']],
  ])('compile in projects with module %s, resolution %s', (module, moduleResolution, sources) => {
    const types = path.join(project, 'node_modules/@types');
    mkdirSync(types, { recursive: true });
    for (const name of ['node_modules/@types/node', 'node_modules/undici-types'])
      try {
        symlinkSync(
          path.join(PACKAGE, name),
          path.join(name.includes('@types') ? types : path.dirname(types), path.basename(name)),
        );
      } catch (error) {
        if ((error as { code?: string }).code !== 'EEXIST') throw error;
      }
    for (const file of sources) writeFileSync(path.join(project, file), program);
    const compilerOptions = {
      module,
      moduleResolution,
      target: 'es2023',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: ['node'],
    };
    const config = JSON.stringify({ compilerOptions, files: sources });
    writeFileSync(path.join(project, 'tsconfig.json'), config);
    let complaints = '';
    try {
      execFileSync(process.execPath, [bin('typescript/bin/tsc'), '-p', project], {
        encoding: 'utf8',
      });
    } catch (error) {
      complaints = (error as { stdout: string }).stdout;
    }
    expect(complaints).toBe('');
  });
});

it.each(['esm', 'cjs'] as const)(
  'a bundle of esbuild that leaves offloop out runs, as %s',
  (format) => {
    const source = `import { backend } from 'offloop'; import tls from 'offloop/tls';
    process.stdout.write(backend + ' ' + typeof tls.createServer);`;
    const outfile = path.join(project, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs');
    esbuild.buildSync({
      stdin: { contents: source, resolveDir: project },
      outfile,
      format,
      bundle: true,
      platform: 'node',
      external: ['offloop'],
    });
    const options = { cwd: project, env: bare, encoding: 'utf8' } as const;
    expect(execFileSync(process.execPath, [outfile], options)).toBe('native function');
  },
);
