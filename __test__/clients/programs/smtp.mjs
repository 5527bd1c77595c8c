// An SMTP server with STARTTLS, as smtp-server makes it, for one connection: prints its port, then
// what it saw. The identity comes as JSON in a line on stdin.
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { SMTPServer } from 'smtp-server';

const lines = createInterface(process.stdin);
const [identity] = await once(lines, 'line');
lines.close();
process.stdin.destroy();
// Node's alone is not to have offloop in its process.
const TlsSocket = process.execArgv.includes('offloop/register')
  ? (await import('offloop')).TlsSocket
  : undefined;
const server = new SMTPServer({
  ...JSON.parse(identity),
  authOptional: true,
  onSecure(socket, session, callback) {
    const { secure, servername } = session;
    const offloop = TlsSocket !== undefined && socket instanceof TlsSocket;
    say({ secure, servername, protocol: socket.getProtocol(), offloop });
    callback();
  },
  onClose: () => server.close(),
});
server.listen(0, '127.0.0.1');
await once(server.server, 'listening');
say({ port: server.server.address().port });

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
