// One line in a server of node:https, with a way back while it runs.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { adopt } from 'offloop';

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = https.createServer(options, (request, response) => {
  response.end(request.socket.handshake ? 'offloop\n' : 'node:tls\n');
});

const adopted = adopt(server);

process.once('SIGUSR2', () => {
  // Open connections stay where they are; new ones are node:tls's.
  adopted.release();
  console.log('released');
});

server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
