/** Certificates as files, for programs that want files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Authority, type Issued } from '../support/certificates.js';

/** Names that have `<name>.pem` and `<name>.key`; `ca.pem` is the authority's. */
export type Identity = 'server' | 'other' | 'wild' | 'client' | 'stranger';

export class Identities {
  /** `stranger` is a client's of an authority that nobody knows. */
  static async create(): Promise<Identities> {
    const authority = await Authority.create();
    const strangers = await Authority.create('Strangers');
    return new Identities(authority.cert, {
      server: await authority.issue({ names: ['localhost', '127.0.0.1'] }),
      other: await authority.issue({ names: ['other.test'], subject: 'CN=other.test' }),
      wild: await authority.issue({ names: ['*.wild.test'], subject: 'CN=wild.test' }),
      client: await authority.issue({ use: 'client', subject: 'CN=alice' }),
      stranger: await strangers.issue({ use: 'client', subject: 'CN=mallory' }),
    });
  }

  private readonly folder = mkdtempSync(path.join(tmpdir(), 'offloop-clients-'));

  private constructor(
    /** The authority's certificate. */
    readonly ca: string,
    private readonly all: Record<Identity, Issued>,
  ) {
    writeFileSync(this.file('ca.pem'), ca);
    for (const [name, { key, cert }] of Object.entries(all)) {
      writeFileSync(this.file(`${name}.key`), key);
      writeFileSync(this.file(`${name}.pem`), cert);
    }
  }

  /** As a server's or a client's options. */
  options(name: Identity): { key: string; cert: string } {
    const { key, cert } = this.all[name];
    return { key, cert };
  }

  /** A path in the folder of the files. */
  file(name: string): string {
    return path.join(this.folder, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
