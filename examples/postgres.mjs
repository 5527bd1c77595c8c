// TLS in front of a Postgres that has none: whoever asks for TLS gets it, and nobody else gets in.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { acceptTls, createSecureContext } from 'offloop';

const { PORT = 5433, BACKEND_PORT = 5432 } = process.env;

// Length 8, and the code of an SSLRequest: 1234 and 5679.
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

const context = createSecureContext({
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
});

const server = net.createServer(async (socket) => {
  socket.on('error', () => {});
  try {
    const [request] = await once(socket, 'data');
    if (!SSL_REQUEST.equals(request)) return socket.destroy();
    // What comes from here on is the core's to read.
    socket.pause();
    socket.write('S');
    const client = await acceptTls(socket, { context });
    const backend = net.connect(Number(BACKEND_PORT));
    await Promise.all([pipeline(client, backend), pipeline(backend, client)]);
  } catch (error) {
    console.error(error.code, error.message);
    socket.destroy();
  }
});
server.listen(PORT, () => console.log(`listening on ${server.address().port}`));
