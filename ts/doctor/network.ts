/** Limits of the kernel that a server of many connections meets. */
import { type Finding, note, ok, warning } from './finding.js';
import type { Limit, System } from './system.js';

export function networkFindings(system: System): Finding[] {
  return [...descriptors(system), ...listenQueue(system), ...halfOpen(system), kernelTls(system)];
}

/** A storm of reconnects is some thousand connections. */
const DESCRIPTORS = 16_384;

function descriptors({ descriptors: limits }: System): Finding[] {
  if (limits === undefined)
    return [note('descriptors', 'this runtime does not tell the limit of open files')];
  const { soft, hard } = limits;
  const text = `${words(soft)} open files (hard limit: ${words(hard)}), one for each connection`;
  if (soft === 'unlimited' || soft >= DESCRIPTORS) return [ok('descriptors', text)];
  // Node itself raises the soft limit to the hard one when it starts.
  const how =
    'raise the hard limit: LimitNOFILE= in systemd, --ulimit nofile= in Docker, ' +
    'limits.conf for logins; Node raises the soft limit by itself.';
  return [warning('descriptors', text, `For more than some ${soft} connections ${how}`)];
}

function words(limit: Limit): string {
  return limit === 'unlimited' ? limit : limit.toLocaleString('en');
}

/** Node's default of `backlog`. */
const BACKLOG = 511;

function listenQueue(system: System): Finding[] {
  const name = system.platform === 'linux' ? 'net.core.somaxconn' : 'kern.ipc.somaxconn';
  const value = number(system.sysctl(name));
  if (value === undefined) return [note('listen queue', `the kernel does not tell ${name}`)];
  const text = `${name} is ${value}`;
  if (value < BACKLOG) {
    const advice = `sysctl -w ${name}=4096: what does not fit when many connect at once must try again after a second.`;
    return [
      warning('listen queue', `${text}, less than the ${BACKLOG} that Node asks for`, advice),
    ];
  }
  if (value === BACKLOG) return [ok('listen queue', text)];
  return [
    ok(
      'listen queue',
      `${text}; listen({ backlog }) may ask for that, Node's default is ${BACKLOG}`,
    ),
  ];
}

/** Connections whose client has not answered yet. Linux alone has a limit of its own for them. */
function halfOpen(system: System): Finding[] {
  const name = 'net.ipv4.tcp_max_syn_backlog';
  const value = number(system.sysctl(name));
  if (system.platform !== 'linux' || value === undefined) return [];
  const text = `${name} is ${value}`;
  if (value >= BACKLOG) return [ok('half-open', text)];
  if (system.sysctl('net.ipv4.tcp_syncookies') === '0') {
    const advice = `sysctl -w ${name}=4096, or net.ipv4.tcp_syncookies=1.`;
    return [warning('half-open', `${text}, and without SYN cookies more are dropped`, advice)];
  }
  const cookies = 'SYN cookies answer what is above it, without options such as window scaling';
  return [note('half-open', `${text}; ${cookies}`, `sysctl -w ${name}=4096 keeps them.`)];
}

function kernelTls(system: System): Finding {
  const about = 'kernel TLS';
  if (system.platform !== 'linux')
    return note(about, 'Linux alone has it; offloop does not use it');
  const isLoaded =
    /^tls /m.test(system.read('/proc/modules') ?? '') ||
    system.read('/proc/net/tls_stat') !== undefined ||
    /\btls\b/.test(system.sysctl('net.ipv4.tcp_available_ulp') ?? '');
  const unused = 'offloop does not use it, so nothing depends on this';
  return isLoaded
    ? ok(about, `available; ${unused}`)
    : note(about, `not loaded, or not in this kernel; ${unused}`);
}

function number(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? '', 10);
  return Number.isNaN(value) ? undefined : value;
}
