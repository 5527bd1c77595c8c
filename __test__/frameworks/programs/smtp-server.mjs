import { once } from 'node:events';

import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';

import { whole } from '../clients.mjs';

export default async function program({
  atEnd,
  connected,
  own,
  note,
  bytes,
  server: identity,
  ca,
}) {
  const start = async (options) => {
    const server = new SMTPServer({
      ...identity,
      ...options,
      onSecure: (socket, _session, callback) => {
        own(socket);
        callback();
      },
      onAuth: ({ username, password }, session, callback) => {
        note(`auth: ${username} ${password}, secure: ${session.secure}`);
        callback(null, { user: username });
      },
      async onData(stream, session, callback) {
        const text = String(await whole(stream));
        const [, encoded] =
          text
            .split('\r\n\r\n')
            .slice(-1)[0]
            .match(/^([A-Za-z0-9+/=\r\n]+)/) ?? [];
        const attached = Buffer.from(encoded ?? '', 'base64');
        note(
          `mail: ${session.envelope.rcptTo[0].address}, ${session.tlsOptions.name}, ` +
            `${attached.equals(bytes(200_000)) ? 'the same bytes' : 'other bytes'}`,
        );
        callback();
      },
    });
    server.listen(0, '127.0.0.1');
    await once(server.server, 'listening');
    atEnd(() => new Promise((resolve) => server.close(resolve)));
    return server.server.address().port;
  };
  const send = async (port, options) => {
    const transport = createTransport({
      host: 'localhost',
      port,
      auth: { user: 'alice', pass: 'secret' },
      tls: { ca },
      ...options,
    });
    const { response } = await transport.sendMail({
      from: 'alice@example.org',
      to: 'bob@example.org',
      subject: 'hello',
      attachments: [{ filename: 'bytes', content: bytes(200_000) }],
    });
    note(response.replace(/queued.*/, 'queued'));
    transport.close();
    connected(1);
  };

  await send(await start({}), { requireTLS: true });
  await send(await start({ secure: true }), { secure: true });
}
