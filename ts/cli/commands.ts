/** The commands of `offloop`. A module is loaded when its command is run. */
import type { Command } from './command.js';

export const commands: Readonly<Record<string, CommandEntry>> = {
  cert: {
    summary: 'Make a development CA and a certificate.',
    load: () => import('./cert.js'),
  },
  doctor: {
    summary: "Look for what is in the way: of the machine, and of a server's certificates.",
    load: () => import('./doctor.js'),
  },
  proxy: {
    summary: 'Terminate TLS and pass what comes on to a backend.',
    load: () => import('./proxy.js'),
  },
};

interface CommandEntry {
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}
