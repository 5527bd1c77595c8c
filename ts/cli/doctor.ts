/** `offloop doctor`: what of this machine, and of a server's certificates, is in the way. */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { certificates, defaultAuthorities } from '../certificates.js';
import { certificateFindings } from '../doctor/certificate.js';
import { coreFindings } from '../doctor/core.js';
import type { Finding } from '../doctor/finding.js';
import { networkFindings } from '../doctor/network.js';
import { report } from '../doctor/report.js';
import { resourceFindings } from '../doctor/resources.js';
import { type System, thisSystem } from '../doctor/system.js';
import { oldestNode, version } from '../version.js';
import { type Command, CommandError, UsageError, type Values } from './command.js';
import { attempt, readText } from './files.js';
import { serverName } from './names.js';
import { flag, text, texts } from './values.js';

export const command: Command = {
  usage: '[options]',
  description: [
    'Looks at the platform, the binary, limits of the kernel and of the container, and at a',
    "server's certificates if they are given. A finding is ok, a note, a warning (it works, but",
    'worse than it could, or not for all clients) or a problem, and says what to do. The exit code is',
    '1 if there is a problem, else 0. Nothing is changed and nothing is sent.',
  ],
  options: {
    cert: { type: 'string', value: '<file>', help: "The server's certificate and its chain, PEM" },
    key: { type: 'string', value: '<file>', help: 'Its private key, PEM' },
    ca: {
      type: 'string',
      value: '<file>',
      help: 'The roots that its clients trust, PEM (default: those of Node)',
    },
    name: {
      type: 'string',
      multiple: true,
      value: '<host>',
      help: 'A host name or IP address that clients ask for',
    },
    json: { type: 'boolean', help: 'Print the findings as JSON' },
  },
  examples: [
    'offloop doctor',
    'offloop doctor --cert fullchain.pem --key key.pem --name www.example.test',
    'offloop doctor --json',
  ],
  async run(values) {
    const files = filesOf(values);
    const system = await thisSystem();
    const findings = [
      ...coreFindings(system, oldestNode),
      ...networkFindings(system),
      ...resourceFindings(system),
      ...(files === undefined ? [] : await findingsOf(files, system)),
    ];
    process.stdout.write(
      flag(values, 'json')
        ? `${JSON.stringify({ offloop: version, findings }, null, 2)}\n`
        : `${report(findings)}\n`,
    );
    return findings.some(({ level }) => level === 'problem') ? 1 : 0;
  },
};

interface Files {
  readonly certificates: readonly X509Certificate[];
  readonly key?: { readonly key: KeyObject; readonly mode: number };
  readonly names: readonly string[];
  readonly ca?: readonly X509Certificate[];
}

function filesOf(values: Values): Files | undefined {
  const [cert, key, ca] = ['cert', 'key', 'ca'].map((name) => text(values, name));
  const names = texts(values, 'name').map(serverName);
  if (cert === undefined) {
    const idle = ['key', 'ca', 'name'].find((name) => values[name] !== undefined);
    if (idle === undefined) return undefined;
    throw new UsageError(`--${idle} says nothing without --cert: name the certificate's file too`);
  }
  return {
    certificates: certificatesIn(cert, '--cert'),
    names,
    ...(key === undefined ? {} : { key: keyIn(key) }),
    ...(ca === undefined ? {} : { ca: certificatesIn(ca, '--ca') }),
  };
}

function certificatesIn(file: string, option: string): X509Certificate[] {
  const pem = readText(file, `${option} must name a file that can be read`);
  try {
    return certificates(pem, file);
  } catch (error) {
    // Its message says which of them, what was expected and what came.
    throw new CommandError(`${option}: ${(error as Error).message}`, { cause: error });
  }
}

function keyIn(file: string): { key: KeyObject; mode: number } {
  const advice = '--key must name a file that can be read';
  const pem = readText(file, advice);
  const { mode } = attempt(`read ${file}`, advice, () => statSync(file));
  try {
    return { key: createPrivateKey(pem), mode };
  } catch (error) {
    // OpenSSL's codes for it depend on the version; both forms of PEM have the word.
    const what = /\bENCRYPTED\b/.test(pem)
      ? `${file} is encrypted: leave --key out, or name a decrypted copy (openssl pkey -in ${file})`
      : `${file} holds no private key: expected PEM ("-----BEGIN PRIVATE KEY-----" or alike)`;
    throw new CommandError(`--key: ${what}`, { cause: error });
  }
}

async function findingsOf({ ca, ...files }: Files, { core }: System): Promise<Finding[]> {
  return certificateFindings({
    ...files,
    roots: ca ?? defaultAuthorities(),
    areRootsGiven: ca !== undefined,
    ...('error' in core ? {} : { refusal: await refusalOfCore() }),
  });
}

/** The core's own word: it makes a context of them, as a server would. */
async function refusalOfCore() {
  const { createSecureContext } = await import('../secure-context.js');
  return (cert: string, key: KeyObject): string | undefined => {
    try {
      createSecureContext({ cert, key: key.export({ type: 'pkcs8', format: 'pem' }) });
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
}
