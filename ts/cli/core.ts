/** Commands that need the native core. */
import { CommandError } from './command.js';

/** Loads the core, then a module that stands on it. */
export async function onCore<Module>(load: () => Promise<Module>): Promise<Module> {
  const { missing } = await import('../native.js');
  if (missing !== null) {
    const advice = 'offloop doctor says why';
    throw new CommandError(`the native core can't be loaded: ${advice}`, { cause: missing });
  }
  return load();
}
