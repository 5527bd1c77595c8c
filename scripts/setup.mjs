// What `npm start` and `npm test` need before anything is installed: the tools are checked, the
// packages installed. Imports Node alone.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { spawnChild } from '../benchmarks/child.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Throws with what to do when Rust or a C compiler is missing. */
export function checkTools() {
  checkRust();
  checkCompiler();
}

/**
 * Installs a folder's packages with `npm ci` where its node_modules is missing or older than its
 * lock file.
 */
export async function install(signal, folder = '.') {
  const installed = modifiedAt(`${folder}/node_modules/.package-lock.json`);
  if (installed !== undefined && installed >= modifiedAt(`${folder}/package-lock.json`)) {
    return false;
  }
  await npm(['ci', '--prefix', folder, '--include=dev', '--no-audit', '--no-fund'], signal);
  return true;
}

/** Checks, installs and builds what is missing, for what then runs; where that fails the process ends. */
export async function buildOrExit() {
  try {
    checkTools();
    await install();
    await npm(['run', '--silent', 'build']);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** Runs npm, the same one under an npm script. */
export async function npm(args, signal) {
  const script = process.env.npm_execpath;
  const [command, ...before] = script?.endsWith('.js') ? [process.execPath, script] : ['npm'];
  await run(command, [...before, ...args], signal, `npm ${args.join(' ')}`);
}

/** Runs a command in the root with its output shown; throws when it fails. */
export async function run(command, args, signal, name = [command, ...args].join(' ')) {
  const child = spawnChild(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  const stop = () => child.kill('SIGTERM');
  signal?.addEventListener('abort', stop);
  const [code, killed] = await once(child, 'close');
  signal?.removeEventListener('abort', stop);
  if (code !== 0) throw new Error(`${name} failed (${killed ?? `exit code ${code}`})`);
}

function checkRust() {
  const manifest = readFileSync(new URL('../Cargo.toml', import.meta.url), 'utf8');
  const [, needed] = manifest.match(/^rust-version = "(.+)"$/m);
  const found = versionOf('cargo', /cargo (\d+\.\d+)/);
  if (!found) throw new Error(`Rust ${needed} or newer is needed (cargo was not found): rustup.rs`);
  const [[major, minor], [neededMajor, neededMinor]] = [found, needed].map((text) =>
    text.split('.').map(Number),
  );
  if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
    throw new Error(`Rust ${needed} or newer is needed, this is ${found}: rustup update`);
  }
}

function checkCompiler() {
  const compiler = process.env.CC ?? 'cc';
  if (!versionOf(compiler, /(.+)/)) {
    throw new Error(`a C compiler is needed ('${compiler}' was not found): install gcc or clang`);
  }
}

function versionOf(command, pattern) {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'];
    return execFileSync(command, ['--version'], { encoding: 'utf8', stdio }).match(pattern)?.[1];
  } catch {
    return undefined;
  }
}

function modifiedAt(path) {
  return statSync(new URL(`../${path}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs;
}
