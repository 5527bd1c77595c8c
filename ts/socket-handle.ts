import { executionAsyncId } from 'node:async_hooks';
import type { TlsSocket } from './tls-socket.js';

/**
 * What `socket._handle` shows to Node's own modules and to libraries that look for it. It is no
 * StreamBase: http and http2 must not take the native path, on which bytes would pass us by.
 */
export class SocketHandle {
  readonly isStreamBase = false;
  readonly fd = -1;

  constructor(private readonly socket: TlsSocket) {}

  get reading(): boolean {
    return !this.socket._connection.paused;
  }

  // http assigns this next to readStart and readStop, which are what counts.
  set reading(_value: boolean) {}

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket._connection.bytesWritten;
  }

  get writeQueueSize(): number {
    return this.socket.writableLength;
  }

  readStart(): number {
    this.socket._connection.resume();
    return 0;
  }

  readStop(): number {
    this.socket._connection.pause();
    return 0;
  }

  getAsyncId(): number {
    return executionAsyncId();
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  hasRef(): boolean {
    return this.socket._connection.hasRef;
  }

  close(callback?: () => void): void {
    if (callback !== undefined) this.socket.once('close', callback);
    this.socket.destroy();
  }

  getpeername(out: object): number {
    Object.assign(out, this.socket._getpeername());
    return 0;
  }

  getsockname(out: object): number {
    Object.assign(out, this.socket._getsockname());
    return 0;
  }

  setNoDelay(enable: boolean): number {
    this.socket.setNoDelay(enable);
    return 0;
  }

  setKeepAlive(enable: boolean, initialDelaySeconds: number): number {
    this.socket.setKeepAlive(enable, initialDelaySeconds * 1000);
    return 0;
  }
}
