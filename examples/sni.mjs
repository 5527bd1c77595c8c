// Many names on one port: certs/<name>/cert.pem and key.pem, read when the first client asks.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { callbackify } from 'node:util';
import { createSecureContext } from 'offloop';
import { createServer } from 'offloop/https';

/** Promises of contexts, by name. */
const contexts = new Map();

async function contextOf(servername) {
  const name = servername.toLowerCase();
  if (!contexts.has(name)) contexts.set(name, load(name));
  try {
    return await contexts.get(name);
  } catch {
    // The next client asks again: its files may be there by then.
    contexts.delete(name);
    return null;
  }
}

async function load(name) {
  // The name is the client's word: nothing that could leave the folder.
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(name)) throw new Error(`no name: ${name}`);
  const [key, cert] = await Promise.all(
    ['key.pem', 'cert.pem'].map((file) => readFile(`certs/${name}/${file}`)),
  );
  return createSecureContext({ key, cert });
}

const server = createServer(
  {
    // For clients that name nobody, or somebody unknown.
    key: readFileSync('key.pem'),
    cert: readFileSync('cert.pem'),
    SNICallback: callbackify(contextOf),
  },
  (request, response) => response.end(`hello from ${request.socket.servername}\n`),
);
server.listen(process.env.PORT ?? 8443, () => {
  console.log(`listening on ${server.address().port}`);
});
