// The CommonJS build again, so that classes and state are one for both kinds of importers.
export {
  acceptTls,
  adopt,
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
  Adopted,
  EncryptedKey,
  EncryptedPfx,
  Offload,
  OffloopError,
  Pem,
  ProtocolVersion,
  SecureConnectionListener,
  SecureContextOptions,
  ServerOptions,
  Stats,
} from './index.js';
