import https from './https.js';
export * from 'node:https';
export const { Server, createServer } = https;
export default https;
