/** node:tls clients and how they ended. */
import tls from 'node:tls';

export interface ClientOutcome {
  /** The error's code, or null for a connection that echoed and ended in order. */
  code: string | null;
  /** What the server echoed. */
  echoed: string;
  protocol: string | null;
  reused: boolean;
  session: Buffer | undefined;
}

/** Connects, sends `text`, waits for its echo, ends; resolves at 'close', however it came to it. */
export function attempt(
  port: number,
  options: tls.ConnectionOptions = {},
  text = 'ping',
): Promise<ClientOutcome> {
  return new Promise((resolve) => {
    const outcome: ClientOutcome = {
      code: null,
      echoed: '',
      protocol: null,
      reused: false,
      session: undefined,
    };
    const client = tls.connect({
      host: '127.0.0.1',
      servername: 'localhost',
      rejectUnauthorized: false,
      port,
      ...options,
    });
    client.on('session', (session) => (outcome.session = session));
    client.once('secureConnect', () => {
      outcome.protocol = client.getProtocol();
      outcome.reused = client.isSessionReused();
      client.write(text);
    });
    client.on('data', (chunk: Buffer) => {
      outcome.echoed += chunk.toString();
      if (outcome.echoed.length >= text.length) client.end();
    });
    client.on('error', (error: NodeJS.ErrnoException) => {
      // Newer OpenSSL says SSL/TLS_ALERT where 3.0 said SSLV3_ALERT.
      outcome.code ??= error.code?.replace('SSL/TLS_ALERT', 'SSLV3_ALERT') ?? '?';
    });
    client.once('close', () => resolve(outcome));
  });
}
