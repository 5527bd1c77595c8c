/** `offloop cert`: a development CA and a certificate of a server, as files. */
import type { KeyType } from '../development-certificate.js';
import { nameOf } from '../doctor/chain.js';
import type { CertificateFolder, Made } from './certificate-folder.js';
import type { Command } from './command.js';
import { onCore } from './core.js';
import { serverName } from './names.js';
import { howToTrust, quoted } from './trust.js';
import { flag, oneOf, text, wholeNumber } from './values.js';

export const command: Command = {
  usage: '[name ...] [options]',
  takesWords: true,
  description: [
    'The names are host names, *.wildcards and IP addresses; without any they are localhost,',
    '127.0.0.1 and ::1. Four files are written: cert.pem and key.pem for the server, ca.pem for',
    'clients to trust, and ca-key.pem, which signs. A CA that is in the folder already is used again.',
    'No store of the system or of a browser is touched: how to do that is printed.',
  ],
  options: {
    out: { type: 'string', short: 'o', value: '<folder>', help: 'Where the files go (default: .)' },
    'key-type': {
      type: 'string',
      value: '<type>',
      help: 'p256 or rsa, which has 2,048 bits (default: p256)',
    },
    days: {
      type: 'string',
      value: '<days>',
      help: 'For how long the certificate is valid, 1 to 3650 (default: 365)',
    },
    force: { type: 'boolean', short: 'f', help: 'Replace cert.pem and key.pem; never the CA' },
    json: { type: 'boolean', help: 'Print what was made as JSON' },
  },
  examples: [
    'offloop cert',
    'offloop cert app.test *.app.test 10.0.0.5 --out certificates',
    'offloop cert --key-type rsa --days 30 --force',
  ],
  async run(values, words) {
    const keyType: KeyType = oneOf(values, 'key-type', ['p256', 'rsa']) ?? 'p256';
    const days = wholeNumber(values, 'days', { least: 1, most: 3650, otherwise: 365 });
    const names = [...new Set((words.length > 0 ? words : LOOPBACK).map(serverName))];

    const module = await onCore(() => import('./certificate-folder.js'));
    const folder = new module.CertificateFolder(text(values, 'out') ?? '.');
    const made = folder.make(names, { keyType, days }, flag(values, 'force'));
    const report = flag(values, 'json') ? json : prose;
    process.stdout.write(`${report(folder, made, names)}\n`);
    return 0;
  },
};

const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

function json(folder: CertificateFolder, made: Made, names: readonly string[]): string {
  const report = {
    cert: folder.certificate,
    key: folder.key,
    ca: folder.authority,
    caKey: folder.authorityKey,
    names,
    validTo: new Date(made.server.certificate.validTo).toISOString(),
    fingerprint256: made.server.certificate.fingerprint256,
    isNewCa: made.isNew,
    caFingerprint256: made.authority.certificate.fingerprint256,
  };
  return JSON.stringify(report, null, 2);
}

function prose(folder: CertificateFolder, made: Made, names: readonly string[]): string {
  const ca = nameOf(made.authority.certificate);
  const files = [
    [
      folder.certificate,
      `for the server: ${names.join(', ')}; until ${made.server.certificate.validTo}`,
    ],
    [folder.key, 'its private key'],
    [
      folder.authority,
      made.isNew ? `for clients to trust: ${ca}, new` : `for clients to trust: ${ca}, as before`,
    ],
    [folder.authorityKey, 'the private key of the CA: keep it to yourself'],
  ] as const;
  const width = Math.max(...files.map(([file]) => file.length));
  return [
    ...files.map(([file, what]) => `${file.padEnd(width)}  ${what}`),
    '',
    ...howToTrust(folder.authority, ca),
    '',
    `To check them: offloop doctor --cert ${quoted(folder.certificate)} --key ${quoted(folder.key)} --ca ${quoted(folder.authority)}`,
  ].join('\n');
}
