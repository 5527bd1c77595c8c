import { once } from 'node:events';

import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';

export default async function program({
  tls,
  serve,
  atEnd,
  own,
  note,
  bytes,
  server,
  client: alice,
  ca,
}) {
  const broker = await Aedes.createBroker();
  broker.preConnect = (client, _packet, callback) => {
    own(client.conn);
    note(`hello ${client.conn.getPeerCertificate().subject.CN}, ${client.conn.authorized}`);
    callback(null, true);
  };
  const port = await serve(tls.createServer({ ...server, ca, requestCert: true }, broker.handle));
  atEnd(() => new Promise((resolve) => broker.close(resolve)));

  const connect = (clientId) =>
    connectAsync({ protocol: 'mqtts', host: 'localhost', port, ca, ...alice, clientId });
  const reader = await connect('reader');
  const writer = await connect('writer');
  const messages = [];
  reader.on('message', (topic, payload, packet) => messages.push([topic, payload, packet.qos]));
  await reader.subscribeAsync('bytes/#', { qos: 2 });

  const body = bytes(256 * 1024);
  for (const qos of [0, 1, 2]) {
    const heard = once(reader, 'message');
    await writer.publishAsync(`bytes/${qos}`, body, { qos });
    await heard;
  }
  for (const [topic, payload, qos] of messages) {
    note(`${topic}: qos ${qos}, ${body.equals(payload) ? 'the same bytes' : 'other bytes'}`);
  }

  await writer.publishAsync('kept', 'still here', { retain: true, qos: 1 });
  const kept = once(reader, 'message');
  await reader.subscribeAsync('kept');
  const [topic, payload, packet] = await kept;
  note(`${topic}: ${payload}, ${packet.retain ? 'retained' : 'fresh'}`);
  await Promise.all([reader.endAsync(), writer.endAsync()]);
}
