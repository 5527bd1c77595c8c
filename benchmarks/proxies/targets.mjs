// The proxies that are compared: how each is started before the same backend.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawnChild } from '../child.mjs';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** By name: `command` gives program and arguments, having written what they name into `folder`. */
const targets = {
  offloop: {
    isThere: () => true,
    command: ({ port, backend, certificates: { cert, key } }) => [
      process.execPath,
      // oxfmt-ignore
      [CLI, 'proxy', '--listen', `127.0.0.1:${port}`, '--to', `127.0.0.1:${backend}`, '--cert', cert, '--key', key],
    ],
  },
  // As bytes, which is what the others do.
  nginx: {
    isThere: () => versionOf('nginx', ['-v']) !== undefined && existsSync(NGINX_STREAM),
    command: (at) =>
      nginx(
        at,
        `load_module ${NGINX_STREAM};`,
        `stream { server { ${tls(at)} tcp_nodelay on; proxy_pass 127.0.0.1:${at.backend}; } }`,
      ),
  },
  // As requests, which it parses; its connections to the backend are kept.
  'nginx-http': {
    isThere: () => versionOf('nginx', ['-v']) !== undefined,
    command: (at) =>
      nginx(
        at,
        '',
        `http { access_log off; keepalive_requests 1000000000;
           upstream backend { server 127.0.0.1:${at.backend}; keepalive 64; keepalive_requests 1000000000; }
           server { ${tls(at)}
             location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
      ),
  },
  haproxy: {
    isThere: () => versionOf('haproxy', ['-v']) !== undefined,
    command({ folder, port, backend, certificates: { cert, key } }) {
      const pem = join(folder, 'haproxy.pem');
      writeFileSync(pem, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'), { mode: 0o600 });
      const file = join(folder, 'haproxy.cfg');
      writeFileSync(
        file,
        `global
  nbthread 2
  maxconn 8000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen proxy
  bind 127.0.0.1:${port} ssl crt ${pem}
  server backend 127.0.0.1:${backend}
`,
      );
      return ['haproxy', ['-f', file]];
    },
  },
};

export const targetNames = Object.keys(targets);

/** Those that can be run here. */
export const installed = () => targetNames.filter((name) => targets[name].isThere());

/** Versions of those that are compared with. */
export const versions = () =>
  Object.fromEntries([
    ['nginx', versionOf('nginx', ['-v'])],
    ['haproxy', versionOf('haproxy', ['-v'])],
  ]);

/**
 * Starts one, and waits until it takes connections.
 * @param {string} name
 * @param {{ folder: string, port: number, backend: number, certificates: { cert: string, key: string } }} at
 */
export async function start(name, at) {
  const [program, args] = targets[name].command(at);
  const child = spawnChild(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (bytes) => (complaint += bytes));
  const ended = once(child, 'exit');
  while (!(await answers(at.port))) {
    if (child.exitCode !== null) throw new Error(`${name} did not start: ${complaint.trim()}`);
    await sleep(20);
  }
  return {
    /** Proportional share of memory of all its processes, in bytes. */
    memory: () => [child.pid, ...childrenOf(child.pid)].reduce((sum, pid) => sum + pss(pid), 0),
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(late);
    },
  };
}

function nginx({ folder }, modules, what) {
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `${modules}
daemon off; worker_processes 2; worker_rlimit_nofile 65536; pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 20000; }
${what}
`,
  );
  return ['nginx', ['-c', file, '-p', folder, '-e', 'stderr']];
}

function tls({ port, certificates: { cert, key } }) {
  return `listen 127.0.0.1:${port} ssl reuseport; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate ${cert}; ssl_certificate_key ${key};`;
}

async function answers(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function childrenOf(pid) {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function pss(pid) {
  const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(
    readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'),
  );
  return Number(kilobytes) * 1024;
}

function versionOf(program, args) {
  try {
    // nginx prints it to standard error.
    const output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1', program, ...args], {
      encoding: 'utf8',
    });
    return /(\d+\.\d+\.\d+\S*)/.exec(output)?.[1];
  } catch {
    return undefined;
  }
}
