// One run of one target: a fresh server process, the client, and what the server spent meanwhile.
// oxlint-disable no-await-in-loop -- a snapshot belongs to its line
import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Load } from './load-program.mjs';
import { ServerProcess } from './server-process.mjs';

/**
 * Runs the client once against a fresh server.
 * @param {object} lane `target`, `service`, `certificates` (a folder), `node` (path of a Node
 *   binary), `program` (path of offloop-load)
 * @param {string[]} args mode and options of offloop-load
 * @param {{ onTick?: (tick: object, spent: object) => void, signal?: AbortSignal }} [watch]
 * @returns {Promise<{ load: object, server: object, ticks: object[] }>} the client's result; what the
 *   server spent, by the client's phases ('all' where it has none); the client's lines of each
 *   second, where it has any
 */
export function run(lane, args, { onTick, signal } = {}) {
  return withServer(lane, async (server) => {
    const load = new Load(lane.program, [...args, ...address(lane, server)]);
    const stop = () => load.stop();
    signal?.addEventListener('abort', stop);
    const spent = {};
    const ticks = [];
    let before;
    let busyBefore;
    let result;
    try {
      signal?.throwIfAborted();
      for await (const line of load.lines()) {
        if (line.event === 'begin') {
          before = await server.vitals({ restartDelay: true });
          busyBefore = machineBusy();
        } else if (line.event === 'measured') {
          const phase = (spent[line.phase ?? 'all'] = between(before, await server.vitals()));
          phase.machineShare = (machineBusy() - busyBefore) / phase.wall;
        } else if (line.event === 'tick') {
          ticks.push(line);
          onTick?.(line, between(before, await server.vitals()));
        } else if (line.event === 'end') {
          result = line;
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      load.stop();
    }
    return { load: result, server: spent, ticks };
  });
}

/**
 * Runs h2load, the client of nghttp2, against a fresh server: 16 connections of 10 streams each.
 * @returns {Promise<{ requestsPerSecond: number }>}
 */
export function runHttp2(lane, { seconds }) {
  return withServer(lane, async (server) => {
    const scheme = lane.target === 'plain' ? 'http' : 'https';
    const args = ['-c', '16', '-m', '10', '-D', String(seconds), '--warm-up-time', '1'];
    const url = `${scheme}://127.0.0.1:${server.port}/`;
    const { stdout } = await promisify(execFile)('h2load', [...args, url]).catch((error) => {
      throw error.code === 'ENOENT'
        ? new Error("h2load is not installed: it comes with nghttp2 (Debian's nghttp2-client)")
        : error;
    });
    const [, rate] = /finished in [^,]+, ([\d.]+) req\/s/.exec(stdout) ?? [];
    const [, failed] = /requests: .* (\d+) failed/.exec(stdout) ?? [];
    if (rate === undefined || failed !== '0') throw new Error(`h2load failed:\n${stdout}`);
    return { load: { mode: 'http2' }, requestsPerSecond: Number(rate) };
  });
}

/** What `connections` idle connections add to the resident memory of a fresh server, in bytes each. */
export function weigh(lane, connections) {
  return withServer(lane, async (server) => {
    // What a server's first connections load and cache is no weight of a connection.
    await hold(lane, server, 64, () => {});
    const before = await settled(server);
    let after;
    const load = await hold(lane, server, connections, async () => {
      after = await settled(server);
    });
    return { load, bytesEach: (after.rss - before.rss) / connections };
  });
}

async function withServer(lane, use) {
  const server = await ServerProcess.start(lane);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function hold(lane, server, connections, whileOpen) {
  const silent = lane.service === 'echo' ? [] : ['--silent'];
  const args = ['idle', '--connections', String(connections), ...silent, ...address(lane, server)];
  const load = new Load(lane.program, args);
  let result;
  try {
    for await (const line of load.lines()) {
      if (line.event === 'open') {
        await whileOpen();
        load.release();
      }
      result = line;
    }
  } finally {
    load.stop();
  }
  return result;
}

// Timers of a new connection and freed pages need a moment.
async function settled(server) {
  await sleep(500);
  await server.vitals({ collectGarbage: true });
  await sleep(500);
  return server.vitals({ collectGarbage: true });
}

function address(lane, server) {
  const port = ['--port', String(server.port)];
  return lane.target === 'plain'
    ? [...port, '--plain']
    : [...port, '--cert', `${lane.certificates}/cert.pem`];
}

// Busy time of all cores so far, in ms.
function machineBusy() {
  return cpus().reduce(
    (sum, { times }) => sum + times.user + times.nice + times.sys + times.irq,
    0,
  );
}

/** What passed between two snapshots: times in ms, shares of one core. */
function between(before, after) {
  const wall = after.time - before.time;
  const connections = after.connections - before.connections;
  const mainThread =
    after.mainThreadCpu === null ? null : after.mainThreadCpu - before.mainThreadCpu;
  const active = after.active - before.active;
  const cpu = after.processCpu - before.processCpu;
  return {
    wall,
    connections,
    cpu,
    cpuShare: cpu / wall,
    mainThread,
    mainThreadShare: mainThread === null ? null : mainThread / wall,
    utilization: active / (active + after.idle - before.idle),
    delayP99: after.delayP99,
    rss: after.rss,
  };
}
