import { isIP } from 'node:net';
import type { NativeAddresses } from './native.js';

/** Both ends of a connection, where they are known; reports carry them without their families. */
export type Addresses = NativeAddresses;

/** Adds to each address its family, in Node's words. */
export function withFamilies(addresses: Addresses): Addresses {
  const { remoteAddress, remotePort, localAddress, localPort } = addresses;
  return {
    ...(remoteAddress !== undefined && {
      remoteAddress,
      remoteFamily: family(remoteAddress),
      ...(remotePort !== undefined && { remotePort }),
    }),
    ...(localAddress !== undefined && {
      localAddress,
      localFamily: family(localAddress),
      ...(localPort !== undefined && { localPort }),
    }),
  };
}

function family(address: string): string {
  return isIP(address) === 6 ? 'IPv6' : 'IPv4';
}
