/** What the doctor looks at of the machine and the process, so that tests can show it others. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { getHeapStatistics } from 'node:v8';
import type { NativeVersions } from '../native.js';

export interface System {
  readonly platform: string;
  readonly arch: string;
  /** Of the kernel. */
  readonly release: string;
  /** Absent without glibc. */
  readonly glibc: string | undefined;
  readonly node: string;
  /** The OpenSSL that Node is built with. */
  readonly openssl: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** CPUs that this process may run on. */
  readonly cpus: number;
  /** In bytes. */
  readonly memory: {
    readonly total: number;
    /** Of the container; absent without one. */
    readonly limit: number | undefined;
    /** Of JavaScript's heap. */
    readonly heap: number;
  };
  /** Absent where Node can't tell. */
  readonly descriptors: { readonly soft: Limit; readonly hard: Limit } | undefined;
  readonly core: Core;
  /** The text of a file; absent if it can't be read. */
  read(file: string): string | undefined;
  /** A setting of the kernel; absent if it has none of that name. */
  sysctl(name: string): string | undefined;
}

export type Limit = number | 'unlimited';

/** The native core as it is in this process, or why there is none. */
export type Core = { readonly error: string } | LoadedCore;

export interface LoadedCore {
  /** Of the binary. */
  readonly file: string;
  readonly versions: NativeVersions;
  /** The binding's answer: `ready`, or an error of getrandom(2). */
  readonly entropy: string | null;
  /** Or why the core's threads can't be started. */
  readonly threads: { readonly io: number; readonly pool: number } | { readonly error: string };
}

/** The machine and the process that this runs in. */
export async function thisSystem(): Promise<System> {
  const report = processReport();
  return {
    platform: process.platform,
    arch: process.arch,
    release: os.release(),
    glibc: report.header.glibcVersionRuntime,
    node: process.versions.node,
    openssl: process.versions.openssl,
    env: process.env,
    cpus: os.availableParallelism(),
    memory: {
      total: os.totalmem(),
      limit: memoryLimit(),
      heap: getHeapStatistics().heap_size_limit,
    },
    descriptors: report.userLimits?.open_files,
    core: await loadCore(),
    read,
    sysctl,
  };
}

interface Report {
  readonly header: { readonly glibcVersionRuntime?: string };
  readonly userLimits?: { readonly open_files?: { readonly soft: Limit; readonly hard: Limit } };
}

function processReport(): Report {
  // Names of peers are asked of DNS else, which takes its time.
  Object.assign(process.report, { excludeNetwork: true });
  return process.report.getReport() as unknown as Report;
}

/** The number of "no limit" is beyond what the machine has. */
function memoryLimit(): number | undefined {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < os.totalmem() ? limit : undefined;
}

async function loadCore(): Promise<Core> {
  const { entropy, missing, versions } = await import('../native.js');
  if (missing !== null) return { error: missing.message };
  return { file: binary(), versions: versions(), entropy: entropy(), threads: await threads() };
}

/** Starts the core's threads: no other number is as true. */
async function threads(): Promise<LoadedCore['threads']> {
  const { stats } = await import('../stats.js');
  try {
    return stats().threads;
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function binary(): string {
  const files = Object.keys(require.cache);
  return files.find((file) => file.endsWith('.node') && path.basename(file).includes('offloop'))!;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function sysctl(name: string): string | undefined {
  if (process.platform === 'linux') return read(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim();
  try {
    return execFileSync('sysctl', ['-n', name], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}
