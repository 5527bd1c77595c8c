/** HTTP clients of the programs, on the modules that they are given. */
import { once } from 'node:events';

/**
 * One request of HTTP/1, its answer read to its end.
 *
 * @param options Of https.request(), `body` besides.
 */
export async function request(https, { body, ...options }) {
  const outgoing = https.request({ host: 'localhost', ...options });
  outgoing.end(body);
  const [response] = await once(outgoing, 'response');
  return { status: response.statusCode, headers: response.headers, body: await whole(response) };
}

/** One request on a session of HTTP/2. */
export async function stream(session, headers, body) {
  const outgoing = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) outgoing.end(body);
  const [answer] = await once(outgoing, 'response');
  return { status: answer[':status'], headers: answer, body: await whole(outgoing) };
}

/** An open session of HTTP/2 with a server of this machine. */
export async function connect(http2, port, options) {
  const session = http2.connect(`https://localhost:${port}`, options);
  await once(session, 'connect');
  return session;
}

/** Ends a session, its open streams first. */
export function leave(session) {
  return new Promise((resolve) => session.close(resolve));
}

/** All bytes of a stream. */
export async function whole(readable) {
  const chunks = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks);
}
