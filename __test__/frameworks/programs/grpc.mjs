import { once } from 'node:events';

import grpc from '@grpc/grpc-js';

const json = {
  requestSerialize: (value) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes) => JSON.parse(bytes),
  responseSerialize: (value) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes) => JSON.parse(bytes),
};
const raw = {
  requestSerialize: (bytes) => bytes,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => bytes,
};
const service = {
  add: { path: '/Test/Add', requestStream: false, responseStream: false, ...json },
  echo: { path: '/Test/Echo', requestStream: false, responseStream: false, ...raw },
  count: { path: '/Test/Count', requestStream: false, responseStream: true, ...json },
  sum: { path: '/Test/Sum', requestStream: true, responseStream: false, ...json },
  chat: { path: '/Test/Chat', requestStream: true, responseStream: true, ...json },
};
const Client = grpc.makeGenericClientConstructor(service, 'Test');

export default async function program({
  connected,
  atEnd,
  note,
  bytes,
  server: identity,
  client: alice,
  stranger,
  ca,
}) {
  const start = async (checkClientCertificate) => {
    const server = new grpc.Server();
    server.addService(service, {
      add: (call, callback) => {
        const peer = call.getAuthContext().sslPeerCertificate?.subject.CN;
        const { a, b } = call.request;
        if (typeof a !== 'number') {
          return callback({ code: grpc.status.INVALID_ARGUMENT, details: 'not a number' });
        }
        callback(null, { sum: a + b, ...(peer !== undefined && { peer }) });
      },
      echo: (call, callback) => callback(null, call.request),
      count: async (call) => {
        for (let number = 1; number <= call.request.to; number++) {
          if (!call.write({ number })) await once(call, 'drain');
        }
        const trailers = new grpc.Metadata();
        trailers.set('counted', String(call.request.to));
        call.end(trailers);
      },
      sum: (call, callback) => {
        let sum = 0;
        call.on('data', ({ number }) => (sum += number));
        call.on('end', () => callback(null, { sum }));
      },
      chat: (call) => {
        call.on('data', ({ text }) => call.write({ text: text.toUpperCase() }));
        call.on('end', () => call.end());
      },
    });
    const { key, cert } = identity;
    const pairs = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
    const credentials = grpc.ServerCredentials.createSsl(
      Buffer.from(ca),
      pairs,
      checkClientCertificate,
    );
    const port = await new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    atEnd(() => new Promise((resolve) => server.tryShutdown(resolve)));
    return `localhost:${port}`;
  };
  const connect = (address, own) => {
    const pem = own === undefined ? [] : [Buffer.from(own.key), Buffer.from(own.cert)];
    const credentials = grpc.credentials.createSsl(Buffer.from(ca), ...pem);
    // A channel of its own: one that failed would be shared else.
    return new Client(address, credentials, {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.max_receive_message_length': -1,
    });
  };
  const client = connect(await start(false));
  note(await unary(client, 'add', { a: 1, b: 2 }));
  await unary(client, 'add', { a: 'x' }).catch(({ code, details }) => note(`${code}: ${details}`));
  const body = bytes(1024 * 1024);
  const echo = await unary(client, 'echo', body);
  note(`echo: ${body.equals(echo) ? 'the same bytes' : 'other bytes'}`);

  const counting = client.count({ to: 2000 });
  let numbers = 0;
  let status;
  counting.on('status', (final) => (status = final));
  for await (const { number } of counting) if (number === numbers + 1) numbers++;
  note(`counted to ${numbers}, trailer ${status.metadata.get('counted')}`);

  const sum = await new Promise((resolve, reject) => {
    const call = client.sum((error, answer) => (error ? reject(error) : resolve(answer)));
    for (let number = 1; number <= 1000; number++) call.write({ number });
    call.end();
  });
  note(sum);

  const chat = client.chat();
  const said = [];
  chat.on('data', ({ text }) => {
    if (said.push(text) < 3) chat.write({ text: `${text.toLowerCase()}!` });
    else chat.end();
  });
  chat.write({ text: 'hello' });
  await once(chat, 'end');
  note(said);
  client.close();
  connected(1);

  const mutual = await start(true);
  for (const own of [alice, stranger, undefined]) {
    const known = connect(mutual, own);
    try {
      note(await unary(known, 'add', { a: 20, b: 22 }));
      connected(1);
    } catch ({ code }) {
      note(`refused: ${grpc.status[code]}`);
    }
    known.close();
  }
}

const unary = (client, method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
