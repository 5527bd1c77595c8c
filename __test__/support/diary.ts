/** What a stream emitted, in order. */
import type { EventEmitter } from 'node:events';

export type Entry = string;

const NOTED = new Set([
  'end',
  'finish',
  'close',
  'error',
  'timeout',
  'drain',
  'pause',
  'resume',
  'data',
]);

/**
 * Notes what `stream` emits from now on, without adding a listener that would change what it does.
 * Data is noted as one entry however many chunks it comes in.
 */
export function diary(stream: EventEmitter, name = ''): Entry[] {
  const entries: Entry[] = [];
  const emit = stream.emit.bind(stream);
  stream.emit = (event: string | symbol, ...args: unknown[]) => {
    if (NOTED.has(event as string)) {
      const entry = `${name}${describe(event as string, args)}`;
      if (event !== 'data' || entries.at(-1) !== entry) entries.push(entry);
    }
    return emit(event, ...args);
  };
  return entries;
}

function describe(event: string, [first]: unknown[]): string {
  switch (event) {
    case 'error': {
      const { code, syscall, message } = first as NodeJS.ErrnoException;
      return `error ${code ?? message}${syscall === undefined ? '' : ` (${syscall})`}`;
    }
    case 'close':
      return `close ${String(first)}`;
    default:
      return event;
  }
}
