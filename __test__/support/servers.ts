/** What servers tell of themselves and show to clients. */
import { once } from 'node:events';

import { connect } from './disposables.js';
import type { AnyServer } from './libraries.js';

export function connections(server: Pick<AnyServer, 'getConnections'>): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
}

export async function untilConnections(
  server: Pick<AnyServer, 'getConnections'>,
  count: number,
): Promise<void> {
  // getConnections() calls back before any other event gets its turn.
  while ((await connections(server)) !== count) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Whose certificate a client is shown that asks for this name. */
export async function commonName(port: number, servername?: string): Promise<string> {
  const client = connect(port, servername === undefined ? {} : { servername });
  await once(client, 'secureConnect');
  const name = client.getPeerCertificate().subject.CN as string;
  client.destroy();
  return name;
}
