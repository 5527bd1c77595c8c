// `npm run smoke -- [folder] [node]`: installs the packages that `npm run pack` made for this platform
// into an empty folder, without a registry, and serves with them, under another Node if one is named.
// Needs nothing but Node and npm: no Rust, and nothing of this repository's node_modules.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [given = 'npm', node = process.execPath] = process.argv.slice(2);
const packages = path.resolve(root, given);
// The C library is the one of this Node: where both are there, that of the other is of no use.
const libc = process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl';
const fits = [process.platform, process.arch, ...(process.platform === 'linux' ? [libc] : [])];
const platform = fits.join('-');
if (!readdirSync(packages).includes(platform)) throw new Error(`${packages} has no ${platform}`);

const folder = mkdtempSync(path.join(tmpdir(), 'offloop-smoke-'));
try {
  writeFileSync(path.join(folder, 'package.json'), '{"private":true}');
  const tarballs = ['offloop', platform].map((name) => {
    const args = ['pack', path.join(packages, name), '--json', '--pack-destination', folder];
    const [{ filename }] = JSON.parse(npm(args));
    return path.join(folder, filename);
  });
  npm(['install', '--offline', '--no-audit', '--no-fund', ...tarballs]);
  const offloop = path.join(folder, 'node_modules/offloop');
  execFileSync(node, [path.join(offloop, 'dist/cli.js'), 'cert', '--out', folder]);
  copyFileSync(
    path.join(root, '__test__/clients/programs/smoke.mjs'),
    path.join(folder, 'smoke.mjs'),
  );
  const read = (name) => readFileSync(path.join(folder, name), 'utf8');
  const identity = { key: read('key.pem'), cert: read('cert.pem') };
  const input = JSON.stringify({ ca: read('ca.pem'), server: identity, client: identity });
  const parts = ['acceptTls', 'resumption', 'https', 'http2'];
  const options = { cwd: folder, input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'] };
  const output = execFileSync(node, ['smoke.mjs', ...parts], options);
  process.stdout.write(output);
  const { handshakes } = JSON.parse(output.trim().split('\n').at(-1));
  // Counted by the core: with none it would be zero.
  if (handshakes !== 5) throw new Error(`${handshakes} handshakes, expected 5`);
} finally {
  rmSync(folder, { recursive: true });
}

function npm(args) {
  const options = { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  return execFileSync('npm', args, {
    ...options,
    env: { ...process.env, npm_config_cache: folder },
  });
}
