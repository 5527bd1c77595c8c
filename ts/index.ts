/** offloop: TLS off Node's event loop. */
export { acceptTls, type AcceptOptions, setDefaultContext } from './accept.js';
export { adopt, type Adopted } from './adopt.js';
export type {
  BackendOptions,
  BackendPlace,
  BackendsStats,
  BackendStats,
  ProxyProtocolOptions,
  ProxyProtocolVersion,
  ProxyTarget,
} from './backends.js';
export type { AlertName } from './alerts.js';
export type {
  ConnectionsShed,
  ContextReload,
  HandshakeEnd,
  HandshakeError,
  HandshakeStart,
  ShedSample,
} from './channels.js';
export type { ClientHello, ClientHelloCallback, ClientHelloDecision } from './client-hello.js';
export type { Offload } from './core-options.js';
export { drain, type Drained, type DrainOptions } from './drain.js';
export type { ListenPlace } from './listen-place.js';
export type { CertificateFiles } from './certificate-files.js';
export type { ConnectionLimits, Rate, ServerLimits } from './limits.js';
export type { OffloopError } from './errors.js';
export type { EncryptedKey } from './identity.js';
export type { Pem } from './pem.js';
export type { EncryptedPfx } from './pkcs12.js';
export type { ProtocolVersion } from './protocol-versions.js';
export { proxy, Proxy, type ProxyOptions, type ProxyStats } from './proxy.js';
export { createSecureContext, SecureContext, type SecureContextOptions } from './secure-context.js';
export {
  createServer,
  type OnCore,
  type SecureConnectionListener,
  Server,
  type ServerOptions,
} from './server.js';
export {
  bucketBounds,
  type HandshakeStats,
  type Histogram,
  type ServerStats,
  stats,
  type Stats,
} from './stats.js';
export { type Handshake, TlsSocket } from './tls-socket.js';
export { version } from './version.js';
