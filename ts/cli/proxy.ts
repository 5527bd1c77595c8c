/** `offloop proxy`: terminates TLS and passes what comes on to a backend. */
import type { Place } from '../backends.js';
import type { Proxy, ProxyOptions } from '../proxy.js';
import { type Command, CommandError, UsageError, type Values } from './command.js';
import { onCore } from './core.js';
import { readText, reason } from './files.js';
import { serverName } from './names.js';
import { runProxy } from './run-proxy.js';
import { unreachable } from './unreachable.js';
import { flag, oneOf, text, texts, wholeNumber } from './values.js';

export const command: Command = {
  usage: '--listen <place> --to <place> --cert <file> --key <file> [options]',
  description: [
    'Bytes are passed on as they come, off the event loop; JavaScript sees none of them. A place is',
    'host:port, :port, or the path of a Unix socket. SIGHUP reads the certificates again. SIGTERM and',
    'SIGINT end it when its connections have ended; a second one ends it at once.',
  ],
  options: {
    listen: { type: 'string', short: 'l', value: '<place>', help: 'Where clients connect to' },
    to: {
      type: 'string',
      short: 't',
      multiple: true,
      value: '<place>',
      help: 'A backend; of several the least busy is taken',
    },
    cert: { type: 'string', value: '<file>', help: 'The certificate and its chain, PEM' },
    key: { type: 'string', value: '<file>', help: 'Its private key, PEM' },
    sni: {
      type: 'string',
      multiple: true,
      value: '<name=cert,key>',
      help: 'A certificate for clients that ask for this name',
    },
    alpn: {
      type: 'string',
      value: '<protocols>',
      help: 'What backends speak, best first: h2,http/1.1 (default: not said)',
    },
    'proxy-protocol': {
      type: 'string',
      value: '<version>',
      help: "Tell backends the client's address: v1 or v2 (default: not told)",
    },
    'accept-proxy': {
      type: 'string',
      multiple: true,
      value: '<source>',
      help: 'Who tells it to this one: a network, or unix',
    },
    watch: { type: 'boolean', help: 'Read the certificates again when a file changes' },
    metrics: {
      type: 'string',
      value: '<place>',
      help: 'Serve figures to Prometheus here, at /metrics',
    },
    'max-connections': {
      type: 'string',
      value: '<count>',
      help: 'Close what comes beyond so many (default: no bound)',
    },
    'idle-timeout': {
      type: 'string',
      value: '<ms>',
      help: 'Close connections without a byte for so long (default: never)',
    },
    'connect-timeout': {
      type: 'string',
      value: '<ms>',
      help: 'How long a backend may take to be connected to (default: 5000)',
    },
    'check-interval': {
      type: 'string',
      value: '<ms>',
      help: 'How often backends are looked for; 0: never (default: 2000)',
    },
    'drain-timeout': {
      type: 'string',
      value: '<ms>',
      help: 'At the end, cut connections after so long (default: 30000)',
    },
    'without-backend': { type: 'boolean', help: 'Start although no backend is there yet' },
  },
  examples: [
    'offloop proxy --listen :443 --to 127.0.0.1:8080 --cert fullchain.pem --key key.pem --watch',
    'offloop proxy -l :8443 -t /run/app.sock --cert cert.pem --key key.pem --proxy-protocol v2',
    'offloop proxy -l :8443 -t app-1:80 -t app-2:80 --cert c.pem --key k.pem --metrics :9100',
  ],
  async run(values) {
    const options = optionsOf(values);
    const timeout = milliseconds(values, 'drain-timeout', 0) ?? 30_000;
    // No event loop competes with the threads that move bytes.
    process.env.OFFLOOP_IO_THREADS ??= 'cores';
    const module = await onCore(async () => ({
      ...(await import('../proxy.js')),
      ...(await import('../backends.js')),
      ...(await import('../secure-context.js')),
    }));
    const places = usable(() => module.backendOptions.backends.parse(options.to, '--to'));
    checkFiles(options, module.createSecureContext);
    if (!flag(values, 'without-backend')) await needBackend(places, options.connectTimeout ?? 5000);
    const proxy = await start(module.proxy, options);
    return runProxy(proxy, timeout);
  },
};

function optionsOf(values: Values): ProxyOptions & { certFile: string; keyFile: string } {
  const need = (name: string, what: string): string => {
    const value = text(values, name);
    if (value) return value;
    throw new UsageError(`--${name} is missing: ${what}`);
  };
  const to = texts(values, 'to');
  if (to.length === 0)
    throw new UsageError('--to is missing: name a backend, such as --to 127.0.0.1:8080');
  const alpn = text(values, 'alpn')?.split(',');
  if (alpn?.some((protocol) => !/^[\x21-\x7e]{1,255}$/.test(protocol)))
    throw new UsageError('--alpn must be names of protocols, such as h2,http/1.1');
  const trusted = texts(values, 'accept-proxy');
  const metrics = text(values, 'metrics');
  const idleTimeout = milliseconds(values, 'idle-timeout', 1);
  const most = { least: 1, most: 2 ** 32 - 1, otherwise: 0 };
  return {
    listen: need('listen', 'say where, such as --listen :8443'),
    to,
    certFile: need('cert', "name the certificate's file (offloop cert makes one for development)"),
    keyFile: need('key', "name the private key's file"),
    sni: texts(values, 'sni').map(named),
    ALPNProtocols: alpn,
    sendProxyProtocol: oneOf(values, 'proxy-protocol', ['v1', 'v2']),
    proxyProtocol: trusted.length === 0 ? undefined : { trusted },
    watch: flag(values, 'watch'),
    metrics,
    maxConnections: wholeNumber(values, 'max-connections', most) || undefined,
    limits: { idleTimeout },
    connectTimeout: milliseconds(values, 'connect-timeout', 1),
    checkInterval: milliseconds(values, 'check-interval', 0),
  };
}

function milliseconds(values: Values, name: string, least: number): number | undefined {
  if (text(values, name) === undefined) return undefined;
  return wholeNumber(values, name, { least, most: 2 ** 31 - 1, otherwise: 0 });
}

function named(word: string): { name: string; certFile: string; keyFile: string } {
  const [, name, certFile, keyFile] = /^([^=]+)=([^,]+),(.+)$/.exec(word) ?? [];
  if (name && certFile && keyFile) return { name: serverName(name), certFile, keyFile };
  throw new UsageError(`--sni must be <name>=<certificate's file>,<key's file>, got '${word}'`);
}

/** Says of each file what is wrong with it, before anything is started. */
function checkFiles(
  { certFile, keyFile, sni }: ReturnType<typeof optionsOf>,
  createSecureContext: (options: { cert: string; key: string }) => unknown,
): void {
  const pairs = [
    { options: ['--cert', '--key'], certFile, keyFile },
    ...(sni ?? []).map(({ certFile: cert, keyFile: key }) => ({
      options: ['--sni', '--sni'],
      certFile: cert,
      keyFile: key,
    })),
  ];
  for (const { options, ...files } of pairs) {
    const [cert, key] = options as [string, string];
    const pem = {
      cert: readText(files.certFile, mustName(cert)),
      key: readText(files.keyFile, mustName(key)),
    };
    try {
      createSecureContext(pem);
    } catch (error) {
      if (!('code' in (error as Error))) throw error;
      const what = (error as Error).message
        .replaceAll(/(?:the )?options\.key\b/gi, files.keyFile)
        .replaceAll(/(?:the )?options\.cert\b/gi, files.certFile)
        .replace(/expected options\.passphrase, got none/, 'decrypt it first (openssl pkey)');
      throw new CommandError(`${cert}, ${key}: ${what}`, { cause: error });
    }
  }
}

function mustName(option: string): string {
  return `${option} must name a file that can be read`;
}

async function needBackend(places: readonly Place[], patience: number): Promise<void> {
  const failures = await unreachable(places, patience);
  if (failures === undefined) return;
  const advice = 'start one, correct --to, or give --without-backend to start all the same';
  throw new CommandError(`no backend takes connections (${failures.join('; ')}): ${advice}`);
}

async function start(
  proxy: (options: ProxyOptions) => Promise<Proxy>,
  options: ProxyOptions,
): Promise<Proxy> {
  try {
    return await proxy(options);
  } catch (error) {
    const { option, code = '' } = error as NodeJS.ErrnoException & { option?: string };
    if (option === undefined) throw wrongValue(error as Error);
    const name = option === 'options.metrics' ? '--metrics' : '--listen';
    const place = option === 'options.metrics' ? options.metrics : options.listen;
    const advice = ADVICE[code] ?? 'name a place of this machine';
    const why = reason(error as NodeJS.ErrnoException);
    throw new CommandError(`can't listen on ${place} (${why}): ${advice} with ${name}`, {
      cause: error,
    });
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'stop what listens there (or remove the file that a process left), or name another',
  EACCES: 'ports below 1024 are for root, and a socket needs a folder that is there; name another',
};

/** Reads a value as the API does, whose words for options are others. */
function usable<Value>(parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    throw wrongValue(error as Error);
  }
}

function wrongValue(error: Error): Error {
  if (!String((error as NodeJS.ErrnoException).code).startsWith('ERR_')) return error;
  const parts = /^The .*?"([^"]+)".* must be (.*)\. Received (.*)$/.exec(error.message);
  if (parts === null) return new UsageError(error.message, { cause: error });
  const [, name, expected, got] = parts as unknown as [string, string, string, string];
  const plain = name.replace(/^options\./, '').replace(/\[\d+\]$/, '');
  return new UsageError(`${NAMES[plain] ?? plain} must be ${expected}, got ${got}`, {
    cause: error,
  });
}

/** Options of the API that values of the command line end up in. */
const NAMES: Readonly<Record<string, string>> = {
  listen: '--listen',
  to: '--to',
  metrics: '--metrics',
  'proxyProtocol.trusted': '--accept-proxy',
  ALPNProtocols: '--alpn',
};
