/** Hours in minutes: connections that come, talk and go in every way, with nothing left of them. */
import { beforeAll, expect, it } from 'vitest';

import { Dice } from '../support/bytes.js';
import { Authority, type Issued } from '../support/certificates.js';
import { bounded } from '../support/faults/child.js';
import { clientHello } from '../support/faults/client-hello.js';
import { RawClient } from '../support/faults/raw-client.js';
import { sameFootprint, Served } from '../support/faults/served.js';
import { attempt } from '../support/faults/tls-client.js';
import { say, setting, seed } from '../support/scale.js';

/** How long it takes: 15 minutes are a million connections on two cores. */
const SECONDS = setting('OFFLOOP_SOAK_SECONDS', 180);
const CONNECTIONS = 1_000_000;
const ROUND = 2000;

let options: Pick<Issued, 'key' | 'cert'>;
let hello: Buffer;

beforeAll(async () => {
  const { key, cert } = await (await Authority.create()).issue();
  options = { key, cert };
  hello = await clientHello();
});

it(
  `${SECONDS} s of connections leave memory, descriptors and slots as they were`,
  { timeout: (SECONDS + 120) * 1000 },
  async () => {
    await using served = await Served.start({ options, bound: (SECONDS + 100) * 1000 });
    const deadline = Date.now() + SECONDS * 1000;
    let session: Buffer | undefined;
    const one = async (i: number): Promise<void> => {
      const dice = new Dice(seed + i);
      const localAddress = `127.0.0.${1 + (i % 16)}`;
      if (dice.next(2) === 0) {
        using client = await RawClient.connect(served.port, localAddress);
        await client.send(hello.subarray(0, dice.next(hello.length + 1)));
        if (dice.next(2) === 0) client.reset();
        else client.end();
        await client.closed();
        return;
      }
      const maxVersion = dice.next(2) === 0 ? 'TLSv1.2' : 'TLSv1.3';
      const resuming = session !== undefined && dice.next(2) === 0 ? { session } : {};
      const text = 'x'.repeat(1 + dice.next(dice.next(10) === 0 ? 100_000 : 1000));
      const outcome = await attempt(
        served.port,
        { maxVersion, localAddress, ...resuming } as object,
        text,
      );
      expect(outcome.code).toBeNull();
      expect(outcome.echoed === text).toBe(true);
      session = outcome.session ?? session;
    };
    // What is allocated once.
    await bounded(2 * ROUND, 64, one);
    await served.failures();
    const before = await served.footprint();
    let done = 2 * ROUND;
    while (Date.now() < deadline && done < CONNECTIONS) {
      const first = done;
      // oxlint-disable-next-line no-await-in-loop -- round by round
      await bounded(ROUND, 64, (i) => one(first + i));
      done += ROUND;
    }
    await served.failures();
    await sameFootprint(served, before, 12 * 1024 * 1024);
    const after = await served.footprint();
    say(`${done} connections, ${((after.rss - before.rss) / 1024 / 1024).toFixed(1)} MiB more`);
  },
);
