// First of all: smtp-server does STARTTLS by itself, with Node's tls.
import 'offloop/register';

import { readFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';

const server = new SMTPServer({
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  authOptional: true,
  onData(stream, session, callback) {
    stream.resume().on('end', () => {
      const { name } = session.tlsOptions || { name: 'no TLS' };
      console.log(`mail to ${session.envelope.rcptTo[0].address} by ${name}`);
      callback();
    });
  },
});
server.on('error', ({ code, message }) => console.error(code, message));
server.listen(process.env.PORT ?? 2525, () => {
  console.log(`listening on ${server.server.address().port}`);
});
