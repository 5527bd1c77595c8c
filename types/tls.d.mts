/** `node:tls` with its server side on the core: its types are Node's. */
export * from 'node:tls';
export { default } from 'node:tls';
