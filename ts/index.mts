// The CommonJS build again, so that classes and state are one for both kinds of importers.
export {
  acceptTls,
  createSecureContext,
  createServer,
  SecureContext,
  Server,
  setDefaultContext,
  stats,
  TlsSocket,
  version,
} from './index.js';
export type {
  AcceptOptions,
  EncryptedKey,
  ListenOptions,
  Offload,
  OffloopError,
  Pem,
  ProtocolVersion,
  SecureConnectionListener,
  SecureContextOptions,
  ServerEvents,
  ServerOptions,
  Stats,
} from './index.js';
