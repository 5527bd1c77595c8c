import { readFileSync } from 'node:fs';
import { createServer } from 'offloop/https';

const read = () => ({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') });

const server = createServer(read(), (_, response) => response.end('hello\n'));

// What renewed the certificate says so: `kill -HUP`, certbot's --deploy-hook.
process.on('SIGHUP', () => {
  try {
    server.setSecureContext(read());
    console.log('new connections get the new certificate');
  } catch (error) {
    // Half written, or a key that does not fit: the old one goes on.
    console.error(`the old certificate stays: ${error.code}: ${error.message}`);
  }
});

server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
