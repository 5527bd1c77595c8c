// What nginx does in front of many Node programs: HTTP/2, redirect, HSTS, limits, real addresses.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createSecureServer } from 'offloop/http2';

const { PORT = 8443, HTTP_PORT = 8080 } = process.env;

const server = createSecureServer(
  {
    key: readFileSync('key.pem'), // ssl_certificate_key
    cert: readFileSync('cert.pem'), // ssl_certificate
    minVersion: 'TLSv1.2', // ssl_protocols
    sessionTimeout: 24 * 3600, // ssl_session_timeout
    allowHTTP1: true, // http2 on
    limits: {
      helloTimeout: 10_000, // client_header_timeout, of the handshake
      connectionRatePerPeer: { perSecond: 20, burst: 100 }, // limit_req, by connection
    },
  },
  (request, response) => {
    response.setHeader('strict-transport-security', 'max-age=63072000'); // add_header
    response.end(`hello ${request.socket.remoteAddress}\n`); // no X-Real-IP needed
  },
);
server.maxConnections = 10_000; // worker_connections

// return 301 https://$host$request_uri;
const redirect = http.createServer((request, response) => {
  const host = (request.headers.host ?? 'localhost').replace(/:\d+$/, '');
  const { port } = server.address();
  const location = `https://${host}${port === 443 ? '' : `:${port}`}${request.url}`;
  response.writeHead(301, { location }).end();
});

server.listen(PORT, () => {
  redirect.listen(HTTP_PORT, () => {
    console.log(`listening on ${server.address().port}`);
    console.log(`redirecting from ${redirect.address().port}`);
  });
});
