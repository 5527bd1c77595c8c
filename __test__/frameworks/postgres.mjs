/**
 * A server of Postgres' protocol 3.0 that knows no SQL: a query's answer is one row, `value`, with
 * the first parameter, or the query's text where there is none.
 */
import { once } from 'node:events';

const SSL_REQUEST = 80877103;

/** Reads the SSLRequest that comes before all else and says yes: TLS follows. */
export async function answerSslRequest(socket) {
  const [chunk] = await once(socket, 'data');
  socket.pause();
  if (chunk.length !== 8 || chunk.readInt32BE(4) !== SSL_REQUEST) {
    throw new Error('not an SSLRequest');
  }
  socket.write('S');
}

/** Serves one connection, from its startup message to its end. */
export async function servePostgres(stream) {
  stream.on('error', () => {});
  let received = Buffer.alloc(0);
  let started = false;
  const query = { text: '', value: undefined };
  for await (const chunk of stream) {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      // The startup message has no type.
      const head = started ? 1 : 0;
      if (received.length < head + 4) break;
      const end = head + received.readInt32BE(head);
      if (received.length < end) break;
      const type = started ? String.fromCharCode(received[0]) : 'startup';
      const body = received.subarray(head + 4, end);
      received = received.subarray(end);
      started = true;
      if (type === 'X') return stream.end();
      stream.write(answer(type, body, query));
    }
  }
}

function answer(type, body, query) {
  switch (type) {
    case 'startup': {
      const parameters = ['server_version\x0016.0\0', 'client_encoding\0UTF8\0'];
      return Buffer.concat([
        message('R', int32(0)),
        ...parameters.map((parameter) => message('S', Buffer.from(parameter))),
        message('K', int32(1), int32(2)),
        ready,
      ]);
    }
    case 'Q':
      query.value = body.subarray(0, -1);
      return Buffer.concat([description, row(query.value), ready]);
    // Parse: name, text, types.
    case 'P': {
      const begin = body.indexOf(0) + 1;
      query.text = body.subarray(begin, body.indexOf(0, begin));
      return message('1');
    }
    // Bind: portal, statement, formats, values.
    case 'B': {
      let at = body.indexOf(0) + 1;
      at = body.indexOf(0, at) + 1;
      at += 2 + 2 * body.readInt16BE(at);
      const values = body.readInt16BE(at);
      const length = values === 0 ? 0 : body.readInt32BE(at + 2);
      query.value = values === 0 ? query.text : body.subarray(at + 6, at + 6 + length);
      return message('2');
    }
    case 'D':
      return description;
    case 'E':
      return row(query.value);
    case 'S':
      return ready;
    default:
      throw new Error(`no answer to ${type}`);
  }
}

const int16 = (value) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};

const int32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

const message = (type, ...parts) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
};

const TEXT = 25;
const ready = message('Z', Buffer.from('I'));
/** One column of text. */
const description = message(
  'T',
  int16(1),
  Buffer.from('value\0'),
  int32(0),
  int16(0),
  int32(TEXT),
  int16(-1),
  int32(-1),
  int16(0),
);
const row = (value) =>
  Buffer.concat([
    message('D', int16(1), int32(value.length), value),
    message('C', Buffer.from('SELECT 1\0')),
  ]);
