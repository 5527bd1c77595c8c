import type tls from 'node:tls';
import { failure, type OffloopError } from './errors.js';
import type { TlsSocket } from './tls-socket.js';

/**
 * Makes a socket whose handshake goes on one of `server`, as Node does with those of tls.Server:
 * 'secureConnection', 'tlsClientError' once at most, and 'keylog' where somebody listens. What the
 * core does not tell, the server does not either.
 */
export function serve(socket: TlsSocket, server: tls.Server): void {
  let told = false;
  const failed = (error: Error): void => {
    if (told || socket._controlReleased || socket._connection.untold) return;
    told = true;
    server.emit('tlsClientError', clientError(error, socket), socket);
  };
  socket.on('secure', () => {
    if (socket.destroyed || !socket._releaseControl()) return;
    socket.secureConnecting = false;
    server.emit('secureConnection', socket);
  });
  if (server.listenerCount('keylog') > 0)
    socket.on('keylog', (line) => server.emit('keylog', line, socket));
  socket.on('close', (hadError) => {
    if (!hadError) failed(failure('ECONNRESET'));
  });
  socket.on('_tlsError', failed);
  socket.on('error', failed);
}

/**
 * What a server says of a client whose certificate is not good enough: Node lets the handshake be
 * done and hangs up, the core refuses it; its reason is the error's cause.
 */
function clientError(error: Error, socket: TlsSocket): Error {
  const { code } = error as OffloopError;
  if (!refusals.has(code)) return error;
  Object.assign(socket, { authorizationError: code });
  return Object.assign(failure('ECONNRESET'), { cause: error });
}

/** Codes of X.509 verification. */
const refusals = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CRL_HAS_EXPIRED',
  'CRL_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNSPECIFIED',
]);
