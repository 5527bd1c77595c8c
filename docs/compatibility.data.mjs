// What docs/compatibility.md says beside the tables of options in ts/options.ts. A row's `status` is
// same, different, unsupported or own; `node` is the span of Node's versions that have the name,
// where these are not all from 20 on.

const REFUSED = 'ERR_OFFLOOP_UNSUPPORTED_OPTION';

const same = (...names) => names.map((name) => ({ name, status: 'same' }));
const noted = (name, note) => ({ name, status: 'same', note });
const different = (name, note, error) => ({ name, status: 'different', note, error });
const inVersions = (node, rows) => rows.map((row) => ({ ...row, node }));

const OF_CLIENTS = "Of clients, which are Node's own.";

/** Options of https.createServer and http2.createSecureServer beside those of TLS. */
export const httpOptions = {
  https: [
    ...same(
      'IncomingMessage',
      'ServerResponse',
      'connectionsCheckingInterval',
      'headersTimeout',
      'insecureHTTPParser',
      'joinDuplicateHeaders',
      'keepAliveTimeout',
      'maxHeaderSize',
      'rejectNonStandardBodyWrites',
      'requestTimeout',
      'requireHostHeader',
      'uniqueHeaders',
    ),
    ...inVersions('22 on', same('keepAliveTimeoutBuffer', 'shouldUpgradeCallback')),
    ...inVersions('24 on', same('optimizeEmptyRequests')),
    ...inVersions('24, 26', same('httpValidation')),
  ],
  http2: [
    ...same(
      'Http1IncomingMessage',
      'Http1ServerResponse',
      'Http2ServerRequest',
      'Http2ServerResponse',
      'allowHTTP1',
      'maxDeflateDynamicTableSize',
      'maxHeaderListPairs',
      'maxOutstandingPings',
      'maxSendHeaderBlockLength',
      'maxSessionInvalidFrames',
      'maxSessionMemory',
      'maxSessionRejectedStreams',
      'maxSettings',
      'origins',
      'paddingStrategy',
      'peerMaxConcurrentStreams',
      'remoteCustomSettings',
      'settings',
      'unknownProtocolTimeout',
    ),
    ...inVersions('22, 24, 26', same('maxOriginSetSize')),
    ...inVersions(
      '22 on',
      same('streamResetBurst', 'streamResetRate', 'strictFieldWhitespaceValidation'),
    ),
    ...inVersions('24 on', same('http1Options', 'strictSingleValueFields')),
  ],
};

/** Servers, with what tls.Server inherits of net.Server. */
export const servers = {
  members: [
    different(
      'addContext()',
      'Takes contexts of `createSecureContext` of offloop too. One that offloop has not seen being made is refused, and so is one of offloop that asks more of clients than the server, with ERR_INVALID_ARG_VALUE: see Contexts below.',
      REFUSED,
    ),
    noted('address()', "Node's own."),
    {
      name: 'drain()',
      status: 'own',
      note: 'Ends the server without losing a request; also `drain(server)` of offloop.',
    },
    different(
      'close()',
      "Node's own; `close` comes when the core has let go of the port and of the last connection: after the sockets' own.",
    ),
    {
      ...noted('connections', 'Only in the types.'),
      node: 'none',
    },
    noted('getConnections()', 'Handshakes count, as in Node.'),
    different(
      'getTicketKeys()',
      'The key that seals tickets now; without `ticketKeys` it is another one some hours later.',
    ),
    noted(
      'listen()',
      "Node's own, in all forms: port, path, `{ fd }`, handles, `signal`, `exclusive`, `reusePort`, cluster; the bound descriptor is handed to the core.",
    ),
    noted('listening', "Node's own."),
    different('maxConnections', 'Zero lets nobody in, as in Node 22; before, it meant no limit.'),
    noted('dropMaxConnection', "Node's own, in a cluster's round robin; elsewhere the core drops."),
    ...same('ref()', 'unref()'),
    different(
      'setSecureContext()',
      "A connection sees the old context or the new one. With `fallback`, what the core can't do gives the server back to Node.",
      REFUSED,
    ),
    { ...noted('setOptions()', 'Undocumented.'), node: '20, 22' },
    different(
      'setTicketKeys()',
      'Tickets under the keys before still resume until sessionTimeout; Node forgets those keys at once.',
    ),
    ...same('[Symbol.asyncDispose]()'),
  ],
  events: [
    ...same('listening'),
    different(
      'connection',
      'While there is a listener, Node accepts the connections, on the event loop, and the core takes them from there: same order, more cost; on a path and in a cluster also when it has been removed. `emit("connection", stream)` hands streams over, as in Node.',
    ),
    ...same('close'),
    {
      name: 'drop',
      status: 'same',
    },
    noted('error', 'Those of `listen()`. Errors of accept(2) are `acceptError`.'),
    noted('keylog', 'The same lines. Listeners that are added later see later connections.'),
    different(
      'newSession',
      'TLS 1.3 has no identifiers to resume by: newSession is not emitted there, and resumeSession only for a hello without a ticket.',
    ),
    different('resumeSession', 'See newSession.'),
    noted('OCSPRequest', 'DER of certificate and issuer.'),
    noted('secureConnection', 'Several in a row are emitted in one batch, see below.'),
    different(
      'tlsClientError',
      "Messages have OpenSSL's library and reason, not its function and file. For invalid client certificates see `rejectUnauthorized`.",
      'codes as in Node',
    ),
    {
      name: 'acceptError',
      status: 'own',
      note: 'accept(2) failed, with EMFILE for example; the server goes on. Node says nothing then.',
    },
  ],
  httpsMembers: [
    ...same(
      'closeAllConnections()',
      'closeIdleConnections()',
      'headersTimeout',
      'keepAliveTimeout',
      'maxHeadersCount',
      'maxRequestsPerSocket',
      'requestTimeout',
      'setTimeout()',
      'timeout',
    ),
    ...inVersions('22 on', same('keepAliveTimeoutBuffer')),
  ],
  httpsEvents: [
    ...same(
      'checkContinue',
      'checkExpectation',
      'clientError',
      'connect',
      'dropRequest',
      'request',
      'timeout',
      'upgrade',
    ),
  ],
  http2Members: [
    noted('close()', "Node's own, sessions included."),
    ...same('closeIdleConnections()', 'setTimeout()', 'timeout', 'updateSettings()'),
  ],
  http2Events: [
    ...same('checkContinue'),
    ...same('request'),
    noted(
      'session',
      "Its socket stands for the TLS socket; `encrypted`, `alpnProtocol` and `originSet` are Node's.",
    ),
    ...same('sessionError', 'stream', 'timeout'),
    ...same('unknownProtocol'),
  ],
};

/** Server-side tls.TLSSocket, with what it inherits of net.Socket. */
export const sockets = {
  tls: [
    ...same('alpnProtocol', 'authorized', 'authorizationError', 'disableRenegotiation()'),
    different('enableTrace()', 'As the option `enableTrace`.'),
    ...same('encrypted', 'exportKeyingMaterial()', 'getCertificate()', 'getCipher()'),
    noted('getEphemeralKeyInfo()', 'Null on servers.'),
    different(
      'getFinished()',
      'The core does not keep the Finished messages: both methods give undefined.',
    ),
    ...same('getPeerCertificate()'),
    different('getPeerFinished()', 'See getFinished.'),
    ...same('getPeerX509Certificate()', 'getProtocol()'),
    different(
      'getSession()',
      'There is no session of OpenSSL to give: getSession() of a server gives undefined.',
    ),
    different(
      'getSharedSigalgs()',
      'Only algorithms that the core has: no SHA-224, DSA, Ed448, RSA-PSS keys or ML-DSA.',
    ),
    noted('getTLSTicket()', 'Undefined on servers.'),
    ...same('getX509Certificate()', 'isSessionReused()'),
    different(
      'renegotiate()',
      'Gives its callback the error that TLS 1.3 gives in Node too; also in TLS 1.2.',
      'ERR_SSL_WRONG_SSL_VERSION (TLS 1.3), ERR_SSL_NO_RENEGOTIATION (TLS 1.2)',
    ),
    different(
      'servername',
      'servername is what the client sent, also in a resumed TLS 1.2 session, where Node has false.',
    ),
    different(
      'setKeyCert()',
      'Refused once the handshake is over; Node takes it, without effect. Also with `requestCert`, and for contexts whose key nobody is shown.',
      REFUSED,
    ),
    ...same('setMaxSendFragment()'),
    noted('setServername()', OF_CLIENTS),
    noted('setSession()', OF_CLIENTS),
  ],
  net: [
    ...same('address()'),
    { ...noted('autoSelectFamilyAttemptedAddresses', OF_CLIENTS) },
    ...same('bufferSize', 'bytesRead', 'bytesWritten'),
    different('connect()', 'Throws: a server-side socket is connected already.', REFUSED),
    ...same('connecting', 'destroySoon()'),
    {
      ...different('getTypeOfService()', 'The core does not ask the system for it.', REFUSED),
      node: '24 on',
    },
    ...same(
      'localAddress',
      'localFamily',
      'localPort',
      'pending',
      'readyState',
      'ref()',
      'remoteAddress',
      'remoteFamily',
      'remotePort',
    ),
    different(
      'resetAndDestroy()',
      'It works: the client sees a reset. Node throws for TLS sockets.',
    ),
    different(
      'setKeepAlive()',
      '`enable` and `initialDelay` as in Node. `interval` and `count` (Node 24 on) are refused.',
      REFUSED,
    ),
    ...same('setNoDelay()', 'setTimeout()'),
    {
      ...different('setTypeOfService()', 'The core does not tell the system of it.', REFUSED),
      node: '24 on',
    },
    ...same('timeout', 'unref()'),
  ],
  stream: [
    noted('destroy()', 'What it does to writes that it overtakes: see below.'),
    ...same(
      'allowHalfOpen',
      'asIndexedPairs()',
      'closed',
      'compose()',
      'cork()',
      'destroyed',
      'drop()',
      'end()',
      'errored',
      'every()',
      'filter()',
      'find()',
      'flatMap()',
      'forEach()',
      'isPaused()',
      'iterator()',
      'map()',
      'pause()',
      'pipe()',
      'push()',
      'read()',
      'readable',
      'readableAborted',
      'readableDidRead',
      'readableEncoding',
      'readableEnded',
      'readableFlowing',
      'readableHighWaterMark',
      'readableLength',
      'readableObjectMode',
      'reduce()',
      'resume()',
      'setDefaultEncoding()',
      'setEncoding()',
      'some()',
      'take()',
      'toArray()',
      'uncork()',
      'unpipe()',
      'unshift()',
      'wrap()',
      'writable',
      'writableAborted',
      'writableBuffer',
      'writableCorked',
      'writableEnded',
      'writableFinished',
      'writableHighWaterMark',
      'writableLength',
      'writableNeedDrain',
      'writableObjectMode',
      'write()',
      '[Symbol.asyncDispose]()',
      '[Symbol.asyncIterator]()',
    ),
  ],
  events: [
    ...same('close', 'data', 'drain', 'end'),
    different(
      'error',
      "Codes of the system and of OpenSSL as in Node; messages without OpenSSL's function and file. A connection that broke the protocol is closed; Node emits the error and leaves it open.",
      'codes as in Node',
    ),
    ...same(
      'finish',
      'keylog',
      'pause',
      'pipe',
      'readable',
      'resume',
      'secure',
      'timeout',
      'unpipe',
    ),
    ...['OCSPResponse', 'connect', 'connectionAttempt', 'connectionAttemptFailed'].map((name) =>
      noted(name, OF_CLIENTS),
    ),
    ...['connectionAttemptTimeout', 'lookup', 'ready', 'secureConnect', 'session'].map((name) =>
      noted(name, OF_CLIENTS),
    ),
  ],
};

/** What no single name stands for. */
export const behaviours = {
  Certificates: [
    'A client whose certificate is not accepted is told so by an alert; Node completes its handshake and hangs up. The alert (`unknown_ca`, `certificate_expired`, `certificate_revoked` ...) is what the client sees as its error; `tlsClientError` is ECONNRESET as in Node, with the reason as its `cause`.',
    'RSA keys of clients below 2048 bits are not valid.',
  ],
  Contexts: [
    'A context that offloop has not seen being made can not be served with, since nobody is shown its key: one of node:tls without `offloop/register`, or from before it was loaded, and one of another copy of offloop in the process. `addContext`, `adopt` and the option `context` refuse it with ERR_OFFLOOP_UNSUPPORTED_OPTION. Where SNICallback answers with one, that handshake fails, with this code in `tlsClientError`, and the server goes on: falling back is for servers, not for single connections. Load `offloop/register` first, or make contexts with `offloop/tls`.',
    'What is asked of clients is for the server to decide, as in Node. A context of `createSecureContext` of offloop that was made to ask for more, by `requestCert` and `rejectUnauthorized`, is refused with ERR_INVALID_ARG_VALUE; where SNICallback answers with one, that handshake fails.',
    '`server._contexts` is private to Node: it is read when the server goes onto the core, not when it is changed later. `addContext` of the same name again takes effect.',
  ],
  Errors: [
    'The callback of a write that destroy() overtakes has ERR_STREAM_DESTROYED, from Node 22 on ECANCELED; with Node it is null, EBADF or ECANCELED.',
    'Codes of broken records are those of OpenSSL 3.5 (Node 22 and later), whichever Node it is.',
  ],
  Names: [
    'Names have no case (RFC 6066); some versions of Node compare them byte by byte.',
    'A server name that is no name of the DNS, one with an empty label, a label of more than 63 letters, one that begins with a hyphen, or a last label of digits, fails the handshake with the alert `illegal_parameter` and ERR_SSL_BAD_EXTENSION. Underscores and a dot at the end are taken.',
  ],
  Sessions: [
    'A session or ticket is bound to a digest of certificates, authorities, revocation lists, what is asked of clients, and `sessionIdContext`: no context lets one in that belongs to another.',
    'Sessions are bound to the authorities of the context: one of another name is not resumed, the client certificate is checked again.',
    'Sessions are bound to what is asked of clients: nobody gets in without the certificate that a server wants.',
    'Sessions are bound to the authorities: one from before is not resumed, the client certificate is checked again.',
    'Keys that seal tickets rotate, unless `ticketKeys` or `setTicketKeys()` give them.',
  ],
  Listeners: [
    'A listener that throws fails its handshake with what it threw, as in Node 24; before, it was an uncaught exception and the handshake hung.',
    "What a 'newSession' listener throws is an 'error' of the server and the connection goes on, as in Node 24; before, it was an uncaught exception and the handshake hung.",
    'Handlers run in batches: promise continuations and `process.nextTick` callbacks run after the batch, not between two of its messages.',
  ],
  Sockets: [
    'The callback of a write that destroy() overtakes has ERR_STREAM_DESTROYED, as the documentation of streams says; with Node it is null, EBADF or ECANCELED.',
    'The callback of a write that destroy(error) overtakes has that error, as the documentation of streams says.',
    '_handle stands for the connection in the core: no stream of libuv (isStreamBase is false).',
    "`new tls.TLSSocket(stream, { isServer: true })` of `offloop/tls`, or under `offloop/register`, is on the core; clients, and sockets of subclasses, are Node's own.",
  ],
  Refused: [
    'Versions older than TLS 1.2, suites with CBC or static RSA, pre-shared keys, engines, compression of certificates and renegotiation: the core does not have them.',
    'The core has no finite-field Diffie-Hellman: a server with dhparam is refused.',
  ],
  Adopted: [
    '`adopt()` takes along the contexts of `addContext` only if `offloop/tls` made them, or node:tls under `offloop/register`.',
    'Connections that are open when a server is adopted stay with Node, and those that are open when it is released stay on the core; `getConnections()` and `maxConnections` count both.',
    '`release()` throws ERR_OFFLOOP_UNSUPPORTED_OPTION, and the server stays on the core, if it was given a context of `createSecureContext` of offloop, as the option `context` or by `addContext`: Node can not serve with it. For the same reason such a server never falls back; nor does one with `clientHello`. Contexts of `offloop/tls` are no hindrance.',
    'A server that another copy of offloop in the process has moved onto its core is refused.',
    'A server that listens on a path or in a cluster already goes on accepting on the event loop when it is adopted; the core takes the connections from there.',
  ],
  Modules: [
    "What a program puts in the place of a function of `offloop/tls`, `offloop/https` or `offloop/http2`, a mock for example, is seen by those who use that module, not by Node's own code. All other exports, such as `tls.DEFAULT_MIN_VERSION`, are read and set in Node's module, and what somebody puts there in the place of a function that is not offloop's, to trace it for example, is seen here too.",
    'Under `offloop/register` options that only offloop has are not read, but for a `context` of offloop: the program may have its own meaning for such names.',
    'The class of sockets is called `TlsSocket` (`socket.constructor.name`); `instanceof tls.TLSSocket` holds.',
    "Servers have listeners of offloop's for 'newListener', 'removeListener' and, with HTTP/2, 'session'.",
  ],
  'Without a core': [
    "Where no binary can be loaded (another platform, Windows, a binary that npm did not install) and with `OFFLOOP_DISABLE=1`, all of the API works on node:tls, on the event loop, with every behaviour of Node's own: `offloop.backend` is `node` instead of `native`, and one warning with the code OFFLOOP_FALLBACK says why. What this page calls different or not there is then as in Node.",
    'Native alone: `clientHello`, which is refused with ERR_OFFLOOP_UNSUPPORTED_OPTION, since it would let in whom the program refuses; `limits` and `offload`, which have no effect, as a warning says; `socket.handshake`, which is undefined; the channels `offloop:*`, which are silent; `offloop cert`.',
    '`stats()` and `server.stats()` have the same form, with zero for what Node does not tell; `accepted` and `alive` of a server are counted.',
    '`acceptTls` checks its options as with a core, so that a program that starts with one backend starts with the other. `TlsSocket` is `tls.TLSSocket`, a `SecureContext` is a context of Node.',
  ],
  Runtimes: [
    'Bun and Deno have servers of their own kind: those stay theirs, with the warning OFFLOOP_FALLBACK, unless they have a context of offloop or a `clientHello`, which are refused; `acceptTls` is on the core there too.',
  ],
};
