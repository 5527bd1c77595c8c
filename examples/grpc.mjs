// First of all: grpc-js makes its server by itself, with Node's http2.
import 'offloop/register';

import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';

const json = {
  requestDeserialize: (bytes) => JSON.parse(bytes),
  responseSerialize: (value) => Buffer.from(JSON.stringify(value)),
};
const service = {
  greet: { path: '/Greeter/Greet', requestStream: false, responseStream: false, ...json },
};

const server = new grpc.Server();
server.addService(service, {
  greet: ({ request }, callback) => callback(null, { greeting: `hello ${request.name}` }),
});

const pair = { private_key: readFileSync('key.pem'), cert_chain: readFileSync('cert.pem') };
const credentials = grpc.ServerCredentials.createSsl(null, [pair]);
server.bindAsync(`localhost:${process.env.PORT ?? 8443}`, credentials, (error, port) => {
  if (error) throw error;
  console.log(`listening on ${port}`);
});
