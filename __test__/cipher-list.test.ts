/** The `ciphers` option selects what OpenSSL's own command lists, in its order. */
import { createRequire } from 'node:module';

import { describe, expect, it } from 'vitest';

import { commandIt, run } from './support/faults/commands.js';

const { cipherSelection } = createRequire(import.meta.url)('../dist/cipher-list.js') as {
  cipherSelection(text: string): {
    suites: string[];
    namesTls12: boolean;
    securityLevel: number | undefined;
    suiteB: { groups: string[]; signatureSchemes: string[] } | undefined;
  };
};

const MODERN = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'];
const OLDER = ['RSA', 'ECDSA'].flatMap((auth) =>
  ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'].map(
    (cipher) => `ECDHE-${auth}-${cipher}`,
  ),
);
const ours = new Set([...MODERN, ...OLDER]);

describe('cipher lists', () => {
  const lists = [
    'ALL',
    'HIGH',
    'DEFAULT',
    'DEFAULT:!aRSA',
    'DEFAULT@SECLEVEL=0',
    'DEFAULT:+AES256',
    'ALL:!AES128',
    'ALL:-AES256:AES256',
    'ALL:+AESGCM',
    'ALL:-CHACHA20',
    'ALL:!ECDSA:@STRENGTH',
    'AES128:AES256:@STRENGTH',
    'AES128:AES256',
    'AES128+AESGCM:CHACHA20',
    'HIGH:!aNULL:!MD5',
    'HIGH:!aNULL:!kRSA:!PSK:!SRP:!MD5:!RC4',
    'ECDHE+AESGCM',
    'ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL',
    'ECDHE+aRSA+AESGCM',
    'EECDH+CHACHA20',
    'EECDH+AESGCM:EDH+AESGCM',
    'kEECDH+aECDSA',
    'kECDHE:!aECDSA',
    'ECDH+AES256',
    'ECDSA:aRSA',
    'aRSA+ECDHE:aECDSA',
    'TLSv1.2:!AES256',
    'TLSv1.2+FIPS',
    'FIPS:!aNULL',
    'CHACHA20:ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:AES128-SHA',
    'ECDHE-RSA-AES128-GCM-SHA256:nonsense',
    'ECDHE-RSA-AES128-GCM-SHA256+ECDHE:HIGH+nonsense',
    'ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384:AES128-GCM-SHA256',
    'SHA256:SHA384',
    'RSA:AES256+SHA256',
    'AES256,CHACHA20;AES128 ECDHE',
    'COMPLEMENTOFDEFAULT:ECDHE+AES128',
    'COMPLEMENTOFALL:AESGCM',
    'ALL:!ALL:AESGCM:HIGH:!COMPLEMENTOFDEFAULT:DHE',
    'AESGCM:-AES256:+ECDSA:!nonsense',
    'HIGH!aRSA',
    'SUITEB128',
    'SUITEB128ONLY:HIGH',
    'SUITEB128C2',
    'SUITEB192',
    'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:DHE-RSA-AES256-GCM-SHA384:!DSS',
  ];

  commandIt('openssl', `come to what openssl ciphers lists (${lists.length})`, async () => {
    for (const list of lists) {
      const { stdout, code } = await run('openssl', ['ciphers', list]);
      // OpenSSL has nothing for what only the core is asked about here.
      const theirs = code === 0 ? stdout.trim().split(':') : [...MODERN];
      const expected = theirs.filter((name) => ours.has(name));
      expect([list, cipherSelection(list).suites]).toEqual([list, expected]);
    }
  });

  it('keep their suites of TLS 1.3 in the order of their names', () => {
    const list =
      'TLS_AES_128_GCM_SHA256:HIGH:TLS_CHACHA20_POLY1305_SHA256:!aRSA:TLS_AES_128_CCM_SHA256';
    const { suites, namesTls12 } = cipherSelection(list);
    expect(suites.slice(0, 3)).toEqual([
      'TLS_AES_128_GCM_SHA256',
      'TLS_CHACHA20_POLY1305_SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
    ]);
    expect(namesTls12).toBe(true);
  });

  it('of TLS 1.3 names alone leave nothing older', () => {
    const { suites, namesTls12 } = cipherSelection('TLS_AES_128_GCM_SHA256');
    expect(suites).toEqual(['TLS_AES_128_GCM_SHA256']);
    expect(namesTls12).toBe(false);
  });

  it('keep the security level that they ask for', () => {
    expect(cipherSelection('HIGH').securityLevel).toBeUndefined();
    expect(cipherSelection('@SECLEVEL=1:HIGH:@SECLEVEL=3').securityLevel).toBe(3);
  });

  it('restrict groups and signatures in Suite B', () => {
    expect(cipherSelection('SUITEB192').suiteB).toMatchObject({
      groups: ['P-384'],
      signatureSchemes: ['ecdsa_secp384r1_sha384'],
    });
  });
});
