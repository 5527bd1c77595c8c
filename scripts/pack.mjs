// `npm run pack -- [folder] [--glibc 2.17]`: makes of what is built the packages that are published,
// npm/offloop and npm/<platform> for each binary in native/, and prints what they weigh. Binaries are
// stripped; their symbols go to npm/symbols. With --glibc, one that needs a newer glibc is an error.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import esbuild from 'esbuild';

import { publicApi } from './api.mjs';
import { root } from './setup.mjs';

/** What npm calls the platforms of `napi.targets`. */
const platforms = {
  'x86_64-unknown-linux-gnu': { name: 'linux-x64-gnu', os: 'linux', cpu: 'x64', libc: 'glibc' },
  'aarch64-unknown-linux-gnu': {
    name: 'linux-arm64-gnu',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
  },
  'x86_64-unknown-linux-musl': { name: 'linux-x64-musl', os: 'linux', cpu: 'x64', libc: 'musl' },
  'aarch64-unknown-linux-musl': {
    name: 'linux-arm64-musl',
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
  },
  'x86_64-apple-darwin': { name: 'darwin-x64', os: 'darwin', cpu: 'x64' },
  'aarch64-apple-darwin': { name: 'darwin-arm64', os: 'darwin', cpu: 'arm64' },
};

/** Bytes of offloop and one platform's package together, unpacked. */
const MOST_BYTES = 6_000_000;

// Provenance is of a repository, which the package must name.
const { GITHUB_REPOSITORY } = process.env;
const url = `git+https://github.com/${GITHUB_REPOSITORY}.git`;
const repository = GITHUB_REPOSITORY && { repository: { type: 'git', url } };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { glibc: { type: 'string' } },
});
const require = createRequire(import.meta.url);
const folder = path.resolve(positionals[0] ?? path.join(root, 'npm'));
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

rmSync(folder, { recursive: true, force: true });
const main = packMain();
const binaries = manifest.napi.targets
  .map((target) => platforms[target] ?? fail(`scripts/pack.mjs does not know ${target}`))
  .filter((platform) => statSync(built(platform), { throwIfNoEntry: false }));
if (binaries.length === 0) fail('native/ has no binary: npm run build');
report('offloop', main, '');
for (const platform of binaries) {
  const size = packPlatform(platform);
  const needs = platform.libc === 'glibc' ? `, needs glibc ${glibcOf(platform)}` : '';
  report(`@offloop/${platform.name}`, size, `, with offloop ${grouped(main + size)}${needs}`);
  if (main + size > MOST_BYTES) fail(`more than ${grouped(MOST_BYTES)} bytes`);
}

/** JavaScript, types and papers: nothing that depends on the platform. */
function packMain() {
  const target = path.join(folder, 'offloop');
  const ofDevelopment = new Set(['private', 'devDependencies', 'scripts', 'napi']);
  const published = Object.entries(manifest).filter(([name]) => !ofDevelopment.has(name));
  const optionalDependencies = Object.fromEntries(
    manifest.napi.targets.map((each) => [`@offloop/${platforms[each].name}`, manifest.version]),
  );
  write(
    target,
    'package.json',
    JSON.stringify(
      { ...Object.fromEntries(published), ...repository, optionalDependencies },
      null,
      2,
    ),
  );
  for (const paper of ['README.md', 'CHANGELOG.md', 'LICENSE', 'types'])
    cpSync(path.join(root, paper), path.join(target, paper), { recursive: true });
  cpSync(path.join(root, 'dist'), path.join(target, 'dist'), {
    recursive: true,
    // Types are in one file, and modules in another.
    filter: (file) =>
      statSync(file).isDirectory() || /\.mjs$|^index\.d\.mts$/.test(path.basename(file)),
  });
  bundle(path.join(target, 'dist'));
  write(target, 'dist/index.d.ts', publicApi().types);
  return sizeOf(target);
}

/**
 * All modules in one file, each run when it is first required: sixty files would be most of the time
 * that an import takes. The entries are what `exports` and `bin` name.
 */
function bundle(target) {
  const dist = path.join(root, 'dist');
  const entries = ['index', 'tls', 'https', 'http2', 'register', 'cli'];
  const loaders = entries.map((name) => `exports.${name} = () => require('./${name}.js');`);
  const { metafile } = esbuild.buildSync({
    stdin: { contents: loaders.join('\n'), resolveDir: dist },
    outfile: path.join(target, 'offloop.js'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    minifyWhitespace: true,
    lineLimit: 120,
    absWorkingDir: root,
    metafile: true,
    logLevel: 'warning',
  });
  // A path that is right for a module in a folder of dist would be wrong for the one file.
  for (const file of Object.keys(metafile.inputs).filter((each) => each.endsWith('.js'))) {
    const isAbove = path.dirname(path.resolve(file)) === dist;
    if (!isAbove && /\b__(dirname|filename)\b/.test(readFileSync(file, 'utf8')))
      fail(`${file} asks where it is, which is not the same when it is published`);
  }
  for (const name of entries) {
    const before = name === 'cli' ? '#!/usr/bin/env node\n' : '';
    const load = `require('./offloop.js').${name}()`;
    // By name, for those who import what is CommonJS.
    const rest =
      name === 'index'
        ? Object.keys(require(dist)).map((each) => `exports.${each} = all.${each};\n`)
        : [];
    const code = name === 'index' ? `const all = ${load};\n` : `module.exports = ${load};\n`;
    write(target, `${name}.js`, `${before}'use strict';\n${code}${rest.join('')}`);
  }
}

function packPlatform(platform) {
  const { name, os, cpu, libc } = platform;
  const target = path.join(folder, name);
  const { version, license, engines } = manifest;
  const description = `The binary of offloop for ${name}.`;
  const file = `offloop.${name}.node`;
  const fields = { os: [os], cpu: [cpu], ...(libc && { libc: [libc] }) };
  const own = { name: `@offloop/${name}`, version, description, license, ...repository, engines };
  const published = { ...own, ...fields, type: 'commonjs', main: file, files: [file] };
  write(target, 'package.json', JSON.stringify(published, null, 2));
  write(
    target,
    'README.md',
    `# @offloop/${name}\n\n${description} Install \`offloop\`, which brings it.\n`,
  );
  cpSync(path.join(root, 'LICENSE'), path.join(target, 'LICENSE'));
  const symbols = path.join(folder, 'symbols');
  mkdirSync(symbols, { recursive: true });
  cpSync(built(platform), path.join(target, file));
  strip(path.join(target, file), path.join(symbols, file), os);
  return sizeOf(target);
}

function strip(file, symbols, os) {
  if (os === 'darwin') {
    execFileSync('dsymutil', [file, '-o', `${symbols}.dSYM`]);
    execFileSync('strip', ['-x', file]);
    // What was signed has changed.
    execFileSync('codesign', ['--force', '--sign', '-', file]);
    return;
  }
  // That of Rust knows other processors than this machine's.
  const sysroot = execFileSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8' }).trim();
  const [, host] = execFileSync('rustc', ['-vV'], { encoding: 'utf8' }).match(/^host: (.+)$/m);
  const objcopy = path.join(sysroot, 'lib/rustlib', host, 'bin/rust-objcopy');
  const env = { ...process.env, LD_LIBRARY_PATH: path.join(sysroot, 'lib') };
  execFileSync(objcopy, ['--only-keep-debug', file, `${symbols}.debug`], { env });
  execFileSync(objcopy, ['--strip-all', `--add-gnu-debuglink=${symbols}.debug`, file], { env });
}

/** The newest version of glibc that the binary's symbols ask for: older systems can't load it. */
function glibcOf({ name }) {
  const bytes = readFileSync(path.join(folder, name, `offloop.${name}.node`), 'latin1');
  const versions = [...bytes.matchAll(/\0GLIBC_(\d+)\.(\d+)/g)].map(([, ...parts]) =>
    parts.map(Number),
  );
  const [floor] = versions.toSorted(([a, b], [c, d]) => c - a || d - b);
  const most = values.glibc?.split('.').map(Number);
  const newer = most && (floor[0] - most[0] || floor[1] - most[1]) > 0;
  if (newer) fail(`${name} needs glibc ${floor.join('.')}, expected ${values.glibc} at most`);
  return floor.join('.');
}

function built({ name }) {
  return path.join(root, 'native', `offloop.${name}.node`);
}

function write(target, file, text) {
  mkdirSync(path.dirname(path.join(target, file)), { recursive: true });
  writeFileSync(path.join(target, file), text);
}

function sizeOf(target) {
  return readdirSync(target, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(path.join(parentPath, name)).size, 0);
}

function report(name, size, rest) {
  process.stdout.write(`${name}: ${grouped(size)} bytes${rest}\n`);
}

function grouped(number) {
  return number.toLocaleString('en');
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
