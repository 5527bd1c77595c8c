import { Readable } from 'node:stream';

import { got } from 'got';

import { judging, telling } from '../answers.mjs';
import { whole } from '../clients.mjs';

export default async function program({
  https,
  http2,
  serve,
  own,
  note,
  bytes,
  server,
  client: alice,
  ca,
}) {
  const tell = telling(own);
  const answer = (incoming, response) =>
    incoming.url === '/moved'
      ? response.writeHead(302, { location: '/found' }).end()
      : tell(incoming, response);
  const body = bytes(512 * 1024);
  const judge = judging(body);
  const asked = { ca, requestCert: true, rejectUnauthorized: false };

  const port = await serve(https.createServer({ ...server, ...asked }, answer));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const { key, cert: certificate } = alice;
  const client = got.extend({
    prefixUrl: `https://localhost:${port}`,
    https: { certificateAuthority: ca, key, certificate },
    agent: { https: agent },
    retry: { limit: 0 },
  });
  note(await client('hello').json());
  note(await client('moved').json());
  note(`post: ${judge(await client.post('echo', { body }).buffer())}`);
  const upload = client.stream.post('echo');
  Readable.from([body.subarray(0, 1000), body.subarray(1000)]).pipe(upload);
  note(`stream: ${judge(await whole(upload))}`);
  agent.destroy();

  const second = http2.createSecureServer({ ...server, allowHTTP1: true }, answer);
  const url = `https://localhost:${await serve(second)}`;
  // The session that got keeps is ended by the server's close() alone.
  const options = { http2: true, https: { certificateAuthority: ca }, retry: { limit: 0 } };
  const sessions = [];
  second.on('session', (session) => sessions.push(session));
  note(await got(`${url}/h2`, options).json());
  note(`post: ${judge(await got.post(url, { ...options, body }).buffer())}`);
  for (const session of sessions) session.close();
}
