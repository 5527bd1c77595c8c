/** The folder that `offloop cert` keeps an authority and a certificate in. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type CertificateOptions,
  type Certified,
  developmentAuthority,
  developmentCertificate,
  pkcs8,
} from '../development-certificate.js';
import { CommandError } from './command.js';
import { attempt, readText } from './files.js';

export interface Made {
  readonly authority: Certified;
  /** Whether the authority was made too. */
  readonly isNew: boolean;
  readonly server: Certified;
}

export class CertificateFolder {
  readonly authority: string;
  readonly authorityKey: string;
  readonly certificate: string;
  readonly key: string;

  constructor(private readonly folder: string) {
    this.authority = path.join(folder, 'ca.pem');
    this.authorityKey = path.join(folder, 'ca-key.pem');
    this.certificate = path.join(folder, 'cert.pem');
    this.key = path.join(folder, 'key.pem');
  }

  /** Makes a certificate, and its authority if there is none. `force` replaces a certificate. */
  make(names: readonly string[], options: CertificateOptions, force: boolean): Made {
    const there = [this.certificate, this.key].find((file) => existsSync(file));
    if (there !== undefined && !force) {
      const advice = 'use --force to replace it, or --out for another folder';
      throw new CommandError(`${there} is there already: ${advice}`);
    }
    const known = this.#known();
    const authority = known ?? newAuthority(options);
    if (known !== undefined) this.#check(known, options.days);
    const server = this.#issue(authority, names, options);

    const files: File[] = [
      { name: this.key, text: pkcs8(server.key), mode: SECRET },
      { name: this.certificate, text: server.certificate.toString(), mode: PUBLIC },
    ];
    if (known === undefined) {
      files.unshift(
        { name: this.authorityKey, text: pkcs8(authority.key), mode: SECRET },
        { name: this.authority, text: authority.certificate.toString(), mode: PUBLIC },
      );
    }
    attempt(`write to ${this.folder}`, 'choose another folder with --out', () => {
      mkdirSync(this.folder, { recursive: true });
      writeAll(files);
    });
    return { authority, isNew: known === undefined, server };
  }

  /** The authority of the folder, if it has one. */
  #known(): Certified | undefined {
    const files = [this.authority, this.authorityKey];
    const [missing, ...others] = files.filter((file) => !existsSync(file));
    if (others.length > 0) return undefined;
    const there = files.find((file) => file !== missing)!;
    if (missing !== undefined) {
      const advice = `bring it back, or remove ${there} for a new CA, which clients must trust anew`;
      throw new CommandError(`${there} is there without ${missing}: ${advice}`);
    }
    const [certificate, key] = files.map((file) => readText(file, 'make it readable'));
    try {
      return { certificate: new X509Certificate(certificate!), key: createPrivateKey(key!) };
    } catch (error) {
      const what = `${files.join(' and ')} can't be read as a CA (${(error as Error).message})`;
      throw new CommandError(`${what}: ${REMOVE}`, { cause: error });
    }
  }

  #check({ certificate, key }: Certified, days: number): void {
    if (!certificate.ca)
      throw new CommandError(`${this.authority} is no certificate of a CA: ${REMOVE}`);
    if (!certificate.checkPrivateKey(key))
      throw new CommandError(`${this.authorityKey} is not the key of ${this.authority}: ${REMOVE}`);
    const left = Date.parse(certificate.validTo) - Date.now();
    if (left < 0)
      throw new CommandError(`${this.authority} ended on ${certificate.validTo}: ${REMOVE}`);
    if (left < days * DAY) {
      const most = Math.floor(left / DAY);
      const advice = most < 1 ? REMOVE : `use --days ${most} or fewer, or ${REMOVE}`;
      throw new CommandError(`${this.authority} ends on ${certificate.validTo}: ${advice}`);
    }
  }

  #issue(authority: Certified, names: readonly string[], options: CertificateOptions): Certified {
    const { certificate } = authority;
    try {
      const issued = developmentCertificate(authority, names, options);
      // The core writes the CA's name anew, and a name can be spelt in ways that it does not know.
      if (
        issued.certificate.checkIssued(certificate) &&
        issued.certificate.verify(certificate.publicKey)
      )
        return issued;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_ARG_VALUE') throw error;
    }
    throw new CommandError(`${this.authority} is a CA of a kind that can't be used: ${REMOVE}`);
  }
}

const REMOVE = 'remove both files of the CA for a new one, which clients must trust anew';

const DAY = 86_400_000;

/** Ten years, or as long as what it issues. */
function newAuthority({ keyType, days }: CertificateOptions): Certified {
  // Stores show this name: each CA has one of its own.
  const name = `offloop development CA ${randomBytes(4).toString('hex')}`;
  return developmentAuthority(name, { keyType, days: Math.max(days, 3650) });
}

interface File {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
}

const SECRET = 0o600;
const PUBLIC = 0o644;

/** First under other names, so that a full disk or the like leaves what was there. */
function writeAll(files: readonly File[]): void {
  const fresh = files.map(({ name }) => `${name}.new`);
  try {
    for (const [i, { text, mode }] of files.entries()) {
      // A new file has the mode that it should, and a link is not followed.
      rmSync(fresh[i]!, { force: true });
      writeFileSync(fresh[i]!, text, { mode, flag: 'wx' });
    }
    for (const [i, { name }] of files.entries()) renameSync(fresh[i]!, name);
  } catch (error) {
    for (const name of fresh) rmSync(name, { force: true });
    throw error;
  }
}
