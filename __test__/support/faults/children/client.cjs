// A client that connects, says so, and echoes what it gets until it is stopped.
'use strict';
const tls = require('node:tls');

const client = tls.connect({
  port: Number(process.env.PORT),
  host: '127.0.0.1',
  rejectUnauthorized: false,
});
client.once('secureConnect', () => process.stdout.write('{"open":true}\n'));
client.pipe(client);
