import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import path from 'node:path';

/** A certificate chain and its private key, as names of PEM files. */
export interface CertificateFiles {
  /** The chain, the server's own certificate first. */
  certFile: string;
  /** The key of that certificate. */
  keyFile: string;
}

/** What the files hold. Throws what reading them does. */
export function readCertificate({ certFile, keyFile }: CertificateFiles): {
  cert: Buffer;
  key: Buffer;
} {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/**
 * Calls `changed` when one of the files is another than before and all have been still for a moment:
 * a key and its certificate are written one after the other. Links are followed at each look, which
 * is how certbot and Kubernetes replace files. Ends with what it returns.
 */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  let still: NodeJS.Timeout | undefined;
  const seen = (): void => {
    clearTimeout(still);
    still = setTimeout(changed, STILL_MS).unref();
  };
  const watched = [...new Set(files.map((file) => path.resolve(file)))];
  for (const file of watched)
    watchFile(file, { interval: LOOK_MS, persistent: false }, (now, before) => {
      // What is gone is about to be replaced; the time of reading tells nothing.
      if (now.nlink > 0 && (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino)) seen();
    });
  return () => {
    clearTimeout(still);
    for (const file of watched) unwatchFile(file);
  };
}

const LOOK_MS = 500;
const STILL_MS = 250;
