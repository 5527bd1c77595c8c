/** The wire below a node:tls client, which breaks in the middle of a chosen flight. */
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

export interface Break {
  /** Which write of the client: 1 is the ClientHello, 2 its answer to the server. */
  flight: number;
  /** How much of it still goes out. */
  share: 'nothing' | 'half' | 'all';
  how: 'FIN' | 'RST';
}

/** Connects with TLS and breaks; resolves when the connection is gone on this side. */
export async function breakDuring(
  port: number,
  options: tls.ConnectionOptions,
  { flight, share, how }: Break,
): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  let flights = 0;
  const wire = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      if (++flights < flight) {
        socket.write(chunk, callback);
      } else if (flights === flight) {
        const part = { nothing: 0, half: chunk.length >> 1, all: chunk.length }[share];
        socket.write(chunk.subarray(0, part), () => {
          if (how === 'RST') socket.resetAndDestroy();
          else socket.end();
        });
        // No callback: the client is stuck, as it is when its machine is gone.
      }
    },
  });
  socket.on('data', (chunk: Buffer) => wire.push(chunk));
  const client = tls.connect({
    servername: 'localhost',
    rejectUnauthorized: false,
    ...options,
    socket: wire,
  });
  client.on('error', () => {});
  await closed;
  client.destroy();
}
