/** The CPU quota of the container, of cgroups of either version. */
import path from 'node:path';
import type { System } from './system.js';

/** In CPUs: the least of this group's and of those around it. Absent without a quota. */
export function cpuQuota(system: Pick<System, 'read'>): number | undefined {
  const quotas = groups(system).flatMap(({ version, folder }) =>
    version === 2 ? version2(system, folder) : version1(system, folder),
  );
  return quotas.length > 0 ? Math.min(...quotas) : undefined;
}

interface Group {
  readonly version: 1 | 2;
  readonly folder: string;
}

/**
 * The folders of the groups that this process is in, outer ones included. In a container the path
 * may be that of the host, which is not there: what is, then, is the root.
 */
function groups({ read }: Pick<System, 'read'>): Group[] {
  const lines = (read('/proc/self/cgroup') ?? '').split('\n');
  return lines.flatMap((line): Group[] => {
    const [, controllers, name] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (name === undefined) return [];
    if (controllers === '') {
      return upwards(name).flatMap((each) =>
        ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].map((root) => ({
          version: 2 as const,
          folder: path.posix.join(root, each),
        })),
      );
    }
    if (!controllers!.split(',').includes('cpu')) return [];
    const roots = [...new Set([controllers!, 'cpu', 'cpu,cpuacct'])];
    return upwards(name).flatMap((each) =>
      roots.map((root) => ({
        version: 1 as const,
        folder: path.posix.join('/sys/fs/cgroup', root, each),
      })),
    );
  });
}

/** `/a/b`, `/a`, `/`. */
function upwards(name: string): string[] {
  return name === '/' ? ['/'] : [name, ...upwards(path.posix.dirname(name))];
}

/** `max 100000` or `150000 100000`. */
function version2({ read }: Pick<System, 'read'>, folder: string): number[] {
  const [quota, period] = (read(path.posix.join(folder, 'cpu.max')) ?? '').split(/\s/).map(Number);
  return quota! > 0 && period! > 0 ? [quota! / period!] : [];
}

/** The quota is -1 when there is none. */
function version1({ read }: Pick<System, 'read'>, folder: string): number[] {
  const [quota, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((file) =>
    Number(read(path.posix.join(folder, file)) ?? Number.NaN),
  );
  return quota! > 0 && period! > 0 ? [quota! / period!] : [];
}
