import { readFileSync } from 'node:fs';
import { createServer } from 'offloop/https';

const server = createServer(
  {
    key: readFileSync('key.pem'),
    cert: readFileSync('cert.pem'),
    // Who issues the clients' certificates. Without one of theirs the handshake fails.
    ca: readFileSync('ca.pem'),
    requestCert: true,
    rejectUnauthorized: true,
  },
  (request, response) => {
    response.end(`hello ${request.socket.getPeerCertificate().subject.CN}\n`);
  },
);
server.on('tlsClientError', (error) => {
  // As in Node the error is an ECONNRESET; what was wrong with the certificate is its cause.
  console.error(`refused: ${(error.cause ?? error).code}`);
});
server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
