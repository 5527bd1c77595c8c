// A session that one machine opened resumes on every other: all have the same TICKET_SECRET, and make
// each day's keys of it.
import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'offloop/https';

const DAY = 86_400_000;
const { PORT = 8443, TICKET_SECRET } = process.env;
if (!TICKET_SECRET) throw new Error('TICKET_SECRET is not set: openssl rand -hex 32');

const today = () => Math.floor(Date.now() / DAY);
const ticketKeys = () =>
  Buffer.from(hkdfSync('sha256', TICKET_SECRET, '', `offloop tickets ${today()}`, 48));

const server = createServer(
  {
    key: readFileSync('key.pem'),
    cert: readFileSync('cert.pem'),
    ticketKeys: ticketKeys(),
    sessionTimeout: 3600,
  },
  (request, response) => response.end(request.socket.isSessionReused() ? 'resumed\n' : 'new\n'),
);

// Tickets under yesterday's keys open sessions until sessionTimeout is over.
let day = today();
setInterval(() => {
  if (today() === day) return;
  day = today();
  server.setTicketKeys(ticketKeys());
}, 1000).unref();

server.listen(PORT, () => console.log(`listening on ${server.address().port}`));
