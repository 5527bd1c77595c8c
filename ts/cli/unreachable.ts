/** Whether anybody is there. */
import { connect } from 'node:net';
import type { Place } from '../backends.js';
import { reason } from './files.js';

/** Why each of these places takes no connection; undefined as soon as one does. */
export async function unreachable(
  places: readonly Place[],
  patience: number,
): Promise<string[] | undefined> {
  const tries = places.map((place) => dial(place, patience));
  try {
    await Promise.any(tries);
    return undefined;
  } catch (error) {
    return (error as AggregateError).errors.map((each: Error) => each.message);
  }
}

function dial(place: Place, patience: number): Promise<void> {
  const name = 'path' in place ? place.path : `${place.host}:${place.port}`;
  return new Promise((resolve, reject) => {
    const socket = connect(place);
    const fail = (why: string): void => {
      socket.destroy();
      reject(new Error(`${name}: ${why}`));
    };
    socket.setTimeout(patience, () => fail(`no answer within ${patience} ms`));
    // Of a name with several addresses there is an error for each.
    socket.on('error', (error) => fail(reason((error as AggregateError).errors?.[0] ?? error)));
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
