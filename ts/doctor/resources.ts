/** CPUs against threads, memory against what may be held in it. */
import { cpuQuota } from './cgroup.js';
import { loaded } from './core.js';
import { type Finding, note, ok, problem, warning } from './finding.js';
import type { System } from './system.js';

export function resourceFindings(system: System): Finding[] {
  const quota = cpuQuota(system);
  return [
    cpus(system, quota),
    ...threads(system, Math.min(system.cpus, quota ?? system.cpus)),
    ...threadPool(system),
    ...memory(system),
  ];
}

function cpus(system: System, quota: number | undefined): Finding {
  const about = 'CPUs';
  const text =
    quota === undefined
      ? `${system.cpus}, without a quota`
      : `${system.cpus}, with a cgroup quota of ${round(quota)}`;
  const available = Math.min(system.cpus, quota ?? system.cpus);
  if (available < 1) {
    const advice =
      'Raise the quota (--cpus in Docker, limits.cpu in Kubernetes): when it is used up, the kernel stops the event loop too, until the next period of 100 ms.';
    return warning(about, text, advice);
  }
  if (available < 2) {
    const advice = 'From two CPUs on handshakes no longer take their time from the event loop.';
    return note(about, text, advice);
  }
  return ok(about, text);
}

function threads(system: System, available: number): Finding[] {
  const about = 'threads';
  const started = loaded(system)?.threads;
  if (started === undefined) return [];
  if ('error' in started) return [problem(about, started.error, 'Correct it, or unset it.')];
  const text = `${started.io} for I/O, ${started.pool} for handshakes`;
  const least = Math.max(1, Math.floor(available));
  const tooMany = [
    ['OFFLOOP_IO_THREADS', started.io],
    ['OFFLOOP_POOL_THREADS', started.pool],
  ].filter(
    ([name, count]) => system.env[name] !== undefined && Number(count) > Math.ceil(available),
  );
  if (tooMany.length === 0) return [ok(about, text)];
  const names = tooMany.map(([name]) => name).join(' and ');
  const why = `more than the ${round(available)} CPUs that there are, so that they take turns`;
  return [warning(about, `${text}: ${why}`, `Unset ${names}, or set it to ${least} at most.`)];
}

function threadPool({ env }: System): Finding[] {
  if (env['UV_THREADPOOL_SIZE'] === undefined) return [];
  const text = `UV_THREADPOOL_SIZE is ${env['UV_THREADPOOL_SIZE']}, which nothing of offloop depends on`;
  return [note('libuv', text, 'OFFLOOP_POOL_THREADS is the number of threads for handshakes.')];
}

const MIB = 1024 * 1024;

/** Default of OFFLOOP_BUFFERED_BYTES; the core refuses a bad value. */
const BUFFERED = 64 * MIB;

function memory({ memory: { total, limit, heap }, env }: System): Finding[] {
  const about = 'memory';
  if (limit === undefined) return [ok(about, `${mebibytes(total)}, without a limit`)];
  // As many received and not read as written and not sent.
  const held = 2 * (Number(env['OFFLOOP_BUFFERED_BYTES']) || BUFFERED);
  const text = `a limit of ${mebibytes(limit)}; connections may hold ${mebibytes(held)}`;
  if (held > limit / 2) {
    const advice = `Raise the limit, or set OFFLOOP_BUFFERED_BYTES to ${Math.max(MIB, Math.floor(limit / 8))}.`;
    return [warning(about, `${text} of it`, advice)];
  }
  if (heap + held > limit) {
    const size = Math.floor((limit - held) / MIB);
    const advice = `Start Node with --max-old-space-size=${size} at most, so that it collects garbage before the kernel ends it.`;
    return [note(about, `${text}, and JavaScript's heap ${mebibytes(heap)}`, advice)];
  }
  return [ok(about, text)];
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB).toLocaleString('en')} MiB`;
}

function round(number: number): string {
  return String(Math.round(number * 100) / 100);
}
