/** Names of servers, as certificates hold them. */
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { UsageError } from './command.js';

/** A host name, in lower case and ASCII (RFC 5890), or an IP address. */
export function serverName(word: string): string {
  if (isIP(word) !== 0 && !word.includes('%')) return word;
  const name = isAscii(word) ? word.toLowerCase() : domainToASCII(word);
  if (name.length <= 253 && hostName.test(name)) return name;
  const expected = 'a host name such as www.example.test or *.example.test, or an IP address';
  throw new UsageError(`'${word}' is no name of a server: expected ${expected}`);
}

function isAscii(word: string): boolean {
  return Buffer.byteLength(word) === word.length;
}

/** Labels of RFC 1123, and `_`, which people use; the last one is no number, or it is an address. */
const hostName =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!\d+$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
