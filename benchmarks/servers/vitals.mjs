// What a server process knows of itself.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

// The sampling timer of the event-loop delay, in ms; its own period is part of what it measures.
const resolution = 10;

export class Vitals {
  #connections = 0;
  #delay = monitorEventLoopDelay({ resolution });
  #restarted = performance.now();

  constructor() {
    this.#delay.enable();
  }

  connected() {
    this.#connections++;
  }

  /** Counters since the start; the event-loop delay since it was last restarted. Times in ms. */
  snapshot({ collectGarbage = false, restartDelay = false }) {
    if (collectGarbage) {
      globalThis.gc();
      globalThis.gc();
    }
    const cpu = process.cpuUsage();
    const { active, idle } = performance.eventLoopUtilization();
    const snapshot = {
      time: performance.now(),
      connections: this.#connections,
      processCpu: (cpu.user + cpu.system) / 1000,
      mainThreadCpu: mainThreadCpu(),
      active,
      idle,
      rss: process.memoryUsage.rss(),
      delayP99: this.#delayP99(),
    };
    if (restartDelay) {
      this.#delay.reset();
      this.#restarted = performance.now();
    }
    return snapshot;
  }

  #delayP99() {
    // Not one sample since the restart: the loop has not come round, so it is that late at least.
    if (this.#delay.count === 0) return performance.now() - this.#restarted;
    return Math.max(0, this.#delay.percentile(99) / 1e6 - resolution);
  }
}

/** CPU time of the thread that runs the event loop, in ms; null where the system can't tell. */
function mainThreadCpu() {
  if (process.threadCpuUsage) {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  }
  const folder = `/proc/self/task/${process.pid}`;
  try {
    // Nanoseconds, where the kernel keeps them.
    const nanoseconds = Number(readFileSync(`${folder}/schedstat`, 'utf8').split(' ')[0]);
    if (nanoseconds > 0) return nanoseconds / 1e6;
  } catch {
    // No schedstat in this kernel.
  }
  try {
    // Ticks of 10 ms; the name before them may hold spaces.
    const fields = readFileSync(`${folder}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return null;
  }
}
