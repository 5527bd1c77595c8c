// What the servers do: `stream` services get a socket, `request` services an HTTP/1 request, `http2`
// services one of HTTP/2.

const chunk = Buffer.alloc(64 * 1024, 0x2a);
const body = Buffer.from('Hello, world!\n');

export const services = {
  /** Every byte comes back. */
  echo: {
    stream(socket) {
      ignoreErrors(socket);
      socket.on('data', (bytes) => socket.write(bytes));
    },
  },

  /** A count of 8 bytes comes in, that many bytes go out; again and again. */
  download: {
    stream(socket) {
      ignoreErrors(socket);
      let missing = 0;
      const send = () => {
        while (missing > 0) {
          const piece = missing < chunk.length ? chunk.subarray(0, missing) : chunk;
          missing -= piece.length;
          if (!socket.write(piece)) return;
        }
      };
      const count = counter((bytes) => {
        missing += bytes;
        send();
      });
      socket.on('drain', send);
      socket.on('data', (bytes) => count(bytes, 0));
    },
  },

  /** A count of 8 bytes and that many bytes come in, the count goes out; again and again. */
  upload: {
    stream(socket) {
      ignoreErrors(socket);
      let expected = 0;
      let missing = 0;
      const count = counter((bytes) => {
        expected = missing = bytes;
      });
      socket.on('data', (bytes) => {
        let at = 0;
        while (at < bytes.length) {
          if (missing === 0) {
            at = count(bytes, at);
          } else {
            const taken = Math.min(missing, bytes.length - at);
            at += taken;
            missing -= taken;
            if (missing === 0) socket.write(big(expected));
          }
        }
      });
    },
  },

  /** Every request gets the same small answer. */
  http: {
    request(request, response) {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
      response.end(body);
    },
  },
};

services.http2 = { http2: services.http.request };

// The client goes away in the middle of a transfer when its time is up.
function ignoreErrors(socket) {
  socket.on('error', () => {});
}

// Reads one big-endian count of 8 bytes, which may come in pieces; returns where it stopped reading.
function counter(onCount) {
  const header = Buffer.alloc(8);
  let filled = 0;
  return (bytes, start) => {
    const taken = bytes.copy(header, filled, start, start + 8 - filled);
    filled += taken;
    if (filled === 8) {
      filled = 0;
      onCount(Number(header.readBigUInt64BE()));
    }
    return start + taken;
  };
}

function big(count) {
  const header = Buffer.alloc(8);
  header.writeBigUInt64BE(BigInt(count));
  return header;
}
