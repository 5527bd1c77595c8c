import type { Histogram, ServerStats, Stats } from '../stats.js';

/** As the core's: a test compares them. */
export const bounds: readonly number[] = [
  10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
  1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/** Figures where there is no core: of the same form, and zero, since nothing is done there. */
export function figures(): Stats {
  const { connections, handshakes, sheds, bytes } = serverFigures({ accepted: 0, alive: 0 });
  const lane = {
    queued: 0,
    running: 0,
    done: 0,
    dropped: 0,
    overloaded: 0,
    deadlinePassed: 0,
    shed: 0,
    panicked: 0,
  };
  const pool = (): Stats['pool']['rsa'] => ({ ...lane, queuedMicros: times(), runMicros: times() });
  return {
    connections,
    handshakes,
    sheds,
    bytes,
    eventLoop: { turns: times() },
    pool: { largeRsa: pool(), rsa: pool(), other: pool() },
    memory: { receivedQueued: 0, sentQueued: 0, hellos: 0, privateKeys: 0, slots: 0 },
    threads: { io: 0, pool: 0 },
  };
}

/** Of a server: what Node lets one count, and zero for what it does not. */
export function serverFigures({
  accepted,
  alive,
}: {
  accepted: number;
  alive: number;
}): ServerStats {
  return {
    connections: {
      accepted,
      acceptErrors: 0,
      listeners: 0,
      alive,
      waiting: 0,
      handshaking: 0,
      open: 0,
    },
    handshakes: {
      done: 0,
      full: 0,
      resumed: 0,
      failed: 0,
      abandoned: 0,
      byVersion: { 'TLSv1.2': 0, 'TLSv1.3': 0 },
      byCipher: {},
      byKeyType: { ecdsa: 0, ed25519: 0, rsa: 0 },
      failures: {},
      jobsOffloaded: 0,
      jobsInline: 0,
      phases: {
        hello: times(),
        asked: times(),
        queued: times(),
        computing: times(),
        client: times(),
        total: times(),
      },
    },
    sheds: {
      maxConnections: 0,
      handshakes: 0,
      handshakesPerPeer: 0,
      connectionRate: 0,
      connectionRatePerPeer: 0,
      waitingForHello: 0,
      waitingForClient: 0,
      helloTimeout: 0,
      queueTarget: 0,
      queueAge: 0,
      queueFull: 0,
      idleTimeout: 0,
    },
    bytes: { received: 0, sent: 0, receivedWire: 0, sentWire: 0 },
  };
}

function times(): Histogram {
  const none = { count: 0, sum: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 };
  return { ...none, buckets: bounds.map(() => 0) };
}
