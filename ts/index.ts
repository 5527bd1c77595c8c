/** offloop: TLS off Node's event loop. */
import tls from 'node:tls';
import { warnOfNodeBackend } from './fallback.js';
import { backend } from './native.js';
import { createNodeSecureContext, NodeSecureContext } from './node-backend/secure-context.js';
import {
  createSecureContext as createCoreContext,
  SecureContext as CoreContext,
} from './secure-context.js';
import { TlsSocket as CoreSocket } from './tls-socket.js';

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
export type { SecureContextOptions } from './secure-context.js';
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
export type { Handshake } from './tls-socket.js';
export { version } from './version.js';
export { backend } from './native.js';

warnOfNodeBackend();
const core = backend === 'native';

/** See the class of this name: without a core it is a context of Node's own. */
export const SecureContext: typeof CoreContext = core
  ? CoreContext
  : (NodeSecureContext as unknown as typeof CoreContext);
export type SecureContext = CoreContext;

/** Parses keys, certificates and settings once, for many connections. Throws as SecureContext. */
export const createSecureContext: typeof createCoreContext = core
  ? createCoreContext
  : (createNodeSecureContext as unknown as typeof createCoreContext);

/** The class of sockets: without a core tls.TLSSocket itself. */
export const TlsSocket: typeof CoreSocket = core
  ? CoreSocket
  : (tls.TLSSocket as unknown as typeof CoreSocket);
export type TlsSocket = CoreSocket;
