import { appendFile } from 'node:fs';
import type { TlsSocket } from './tls-socket.js';

/**
 * Is a socket to be traced? If its options leave that open, --trace-tls decides: Node's option, in
 * NODE_OPTIONS too, with Node's warning.
 */
export function isTraced(enableTrace: boolean | null | undefined): boolean {
  if (enableTrace != null) return enableTrace === true;
  if (traceTls) warnOnce('Enabling --trace-tls can expose sensitive data in the resulting log.');
  return traceTls;
}

/** Does --tls-keylog name a file for the secrets of all sockets? */
export function areKeysLogged(): boolean {
  return keylogFile !== undefined;
}

/** Appends the secrets of a socket, whose handshake is yet to come, to the file of --tls-keylog. */
export function logKeys(socket: TlsSocket): void {
  if (keylogFile === undefined) return;
  warnOnce(
    `Using --tls-keylog makes TLS connections insecure by writing secret key material to file ${keylogFile}`,
  );
  socket.on('keylog', (line) => {
    appendFile(keylogFile, line, { mode: 0o600 }, (error) => {
      if (error)
        warnOnce('Failed to write TLS keylog (this warning will not be repeated)', String(error));
    });
  });
}

/** Of several, the last counts. */
const words = [...split(process.env.NODE_OPTIONS ?? ''), ...process.execArgv];
const traceTls = isSet('trace-tls');
const keylogFile = valueOf('tls-keylog');

/** Words are parted by spaces, which quotes keep together. */
function split(options: string): string[] {
  const found = options.match(/(?:[^\s"]|"(?:\\.|[^"\\])*")+/g) ?? [];
  return found.map((word) =>
    word.replaceAll(/"((?:\\.|[^"\\])*)"/g, '$1').replaceAll(/\\(.)/g, '$1'),
  );
}

function isSet(name: string): boolean {
  const last = words.map(dashed).findLast((word) => [`--${name}`, `--no-${name}`].includes(word));
  return last === `--${name}`;
}

function valueOf(name: string): string | undefined {
  const at = words.findLastIndex((word) => dashed(word.split('=', 1)[0]) === `--${name}`);
  if (at < 0) return undefined;
  const equals = words[at].indexOf('=');
  return equals < 0 ? words[at + 1] : words[at].slice(equals + 1);
}

/** Node takes both. */
function dashed(word: string): string {
  return word.replaceAll('_', '-');
}

const warned = new Set<string>();

function warnOnce(warning: string, detail?: string): void {
  if (warned.has(warning)) return;
  warned.add(warning);
  process.emitWarning(detail === undefined ? warning : `${warning}: ${detail}`);
}
