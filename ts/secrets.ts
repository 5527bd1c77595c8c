import type tls from 'node:tls';
import { inspect } from 'node:util';

/**
 * Keeps out of util.inspect and JSON.stringify, and so out of logs, what Node's constructors keep of
 * a server's options: private keys among them. It can be read as before.
 */
export function hideSecrets(server: tls.Server): void {
  // One for all times: inspect knows circles by the identity of what it has seen.
  const shown = Object.create(Object.getPrototypeOf(server) as object) as object;
  const hidden = {
    [inspect.custom]: () => update(shown, server),
    toJSON: () => ({ ...update(shown, server) }),
  };
  for (const name of [inspect.custom, 'toJSON'] as const) {
    // Not enumerable: fresh servers have the keys of Node's.
    const property = { value: hidden[name], writable: true, configurable: true };
    Object.defineProperty(server, name, property);
  }
}

/** Makes `shown` a server to look at. */
function update(shown: object, server: tls.Server): object {
  for (const name of Reflect.ownKeys(shown)) Reflect.deleteProperty(shown, name);
  for (const name of Reflect.ownKeys(server)) {
    const text = typeof name === 'symbol' ? name.description : name;
    if (name === inspect.custom || name === 'toJSON' || secrets.has(text)) continue;
    const property = Object.getOwnPropertyDescriptor(server, name)!;
    Object.defineProperty(shown, name, { ...property, configurable: true });
  }
  return shown;
}

/** `options`: the symbol of secure HTTP/2 servers. */
const secrets = new Set<string | undefined>(['key', 'passphrase', 'pfx', 'ticketKeys', 'options']);
