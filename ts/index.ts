/** offloop: TLS off Node's event loop. */
export { acceptTls, type AcceptOptions, setDefaultContext } from './accept.js';
export type { OffloopError } from './errors.js';
export type { ListenOptions } from './listen-arguments.js';
export type { EncryptedKey, Offload, Pem, ProtocolVersion } from './options.js';
export { createSecureContext, SecureContext, type SecureContextOptions } from './secure-context.js';
export {
  createServer,
  type SecureConnectionListener,
  Server,
  type ServerEvents,
  type ServerOptions,
} from './server.js';
export { stats, type Stats } from './stats.js';
export { TlsSocket } from './tls-socket.js';
export { version } from './version.js';
