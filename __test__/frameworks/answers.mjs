/** What the servers of HTTP clients' programs answer. */
import { whole } from './clients.mjs';

/** Echoes POST; tells of all else what it was and who asked. `own` is shown each socket. */
export function telling(own) {
  return async (incoming, response) => {
    own(incoming.socket);
    const body = await whole(incoming);
    if (incoming.method === 'POST') return response.end(body);
    const peer = incoming.socket.getPeerCertificate().subject?.CN;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ version: incoming.httpVersion, path: incoming.url, peer }));
  };
}

/** Says whether an echo is what was sent. */
export function judging(sent) {
  return (echo) => (sent.equals(echo) ? 'the same bytes' : 'other bytes');
}
