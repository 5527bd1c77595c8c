/** The certificates of all rows, made once. */
import { Authority, type Issued, type IssueOptions } from '../support/certificates.js';

const DAY = 86_400_000;

export type Identity = Pick<Issued, 'key' | 'cert'>;
export type Material = Awaited<ReturnType<typeof material>>;

export async function material() {
  const authority = await Authority.create();
  const stranger = await Authority.create('Stranger');
  const intermediate = await authority.subordinate('Intermediate');
  const issue = async (options?: IssueOptions, by = authority): Promise<Identity> => {
    const { key, cert } = await by.issue(options);
    return { key, cert };
  };
  const named = (name: string): Promise<Identity> =>
    issue({ names: [name], subject: `CN=${name}` });
  const client = (name: string, options: IssueOptions = {}, by = authority): Promise<Identity> =>
    issue({ use: 'client', subject: `CN=${name}`, ...options }, by);
  const revokedClient = await client('revoked');
  return {
    ca: authority.cert,
    strangersCa: stranger.cert,
    intermediateCa: intermediate.cert,
    /** Of servers; the first is the usual one. */
    ecdsa: await issue(),
    rsa: await issue({ key: 'rsa2048', subject: 'CN=rsa' }),
    p384: await issue({ key: 'p384', subject: 'CN=p384' }),
    ed25519: await issue({ key: 'ed25519', subject: 'CN=ed25519' }),
    a: await named('a.example'),
    b: await named('b.example'),
    wild: await named('*.wild.example'),
    /** Its issuer is the intermediate authority. */
    leaf: await issue({ subject: 'CN=leaf' }, intermediate),
    /** Of clients. */
    client: await client('client'),
    strangersClient: await client('outsider', {}, stranger),
    intermediateClient: await client('below', {}, intermediate),
    expiredClient: await client('expired', {
      notBefore: new Date(Date.now() - 2 * DAY),
      notAfter: new Date(Date.now() - DAY),
    }),
    earlyClient: await client('early', {
      notBefore: new Date(Date.now() + DAY),
      notAfter: new Date(Date.now() + 2 * DAY),
    }),
    revokedClient,
    crl: await authority.revoke([revokedClient]),
    expiredCrl: await authority.revoke([], new Date(Date.now() - DAY)),
    strangersCrl: await stranger.revoke([]),
  };
}
