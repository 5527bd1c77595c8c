/** The commands of `offloop`. A module is loaded when its command is run. */
import type { Command } from './command.js';

export const commands: Readonly<Record<string, CommandEntry>> = {};

interface CommandEntry {
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}
