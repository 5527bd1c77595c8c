import { readFileSync } from 'node:fs';
import express from 'express';
import { createServer } from 'offloop/https';

const app = express();
app.get('/', (request, response) => {
  response.json({ secure: request.secure, cipher: request.socket.getCipher().name });
});

const options = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
const server = createServer(options, app);
server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
