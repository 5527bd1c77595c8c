import { once } from 'node:events';
import net from 'node:net';

import { Client, Pool } from 'pg';

import { answerSslRequest, servePostgres } from '../postgres.mjs';

export default async function program({
  offloop,
  tls,
  atEnd,
  connected,
  own,
  note,
  server: identity,
  ca,
}) {
  const context = (offloop ?? tls).createSecureContext(identity);
  const listener = net.createServer(async (socket) => {
    socket.on('error', () => {});
    await answerSslRequest(socket);
    const secure = await upgrade(socket);
    connected(1);
    own(secure);
    servePostgres(secure);
  });
  const upgrade = async (socket) => {
    if (offloop !== undefined) return offloop.acceptTls(socket, { context });
    const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: context });
    await once(secure, 'secure');
    return secure;
  };
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  atEnd(() => new Promise((resolve) => listener.close(resolve)));

  const options = {
    host: 'localhost',
    port: listener.address().port,
    user: 'alice',
    database: 'test',
    ssl: { ca },
  };
  const client = new Client(options);
  await client.connect();
  note(`encrypted: ${client.connection.stream.encrypted}`);
  note((await client.query('hello')).rows);
  note((await client.query('echo', ['a value'])).rows);
  // As many bytes as no record of TLS holds.
  const long = 'x'.repeat(1024 * 1024);
  const [{ value }] = (await client.query('echo', [long])).rows;
  note(`long: ${value === long ? 'the same' : 'another'}`);
  await client.end();

  const pool = new Pool({ ...options, max: 2 });
  const rows = await Promise.all(['1', '2', '3', '4'].map((each) => pool.query('echo', [each])));
  note(rows.map((result) => result.rows[0].value));
  await pool.end();
}
