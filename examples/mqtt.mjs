import { readFileSync } from 'node:fs';
import { Aedes } from 'aedes';
import { createServer } from 'offloop/tls';

const broker = await Aedes.createBroker();

const options = {
  key: readFileSync('key.pem'),
  cert: readFileSync('cert.pem'),
  // Devices that come back after a power cut come all at once: the core takes on so many a second.
  limits: { connectionRate: { perSecond: 2000, burst: 10_000 } },
};
const server = createServer(options, broker.handle);
server.listen(process.env.PORT ?? 8883, () => {
  console.log(`listening on ${server.address().port}`);
});
