/** How clients are made to trust a development CA, as commands for people to read and run. */

/** Lines. */
export function howToTrust(file: string, name: string): string[] {
  const ca = quoted(file);
  return [
    'For one client, without touching the system:',
    ...commands([
      ['curl', `curl --cacert ${ca} https://...`],
      ['Node', `NODE_EXTRA_CA_CERTS=${ca} node client.js`],
      ['Python', `SSL_CERT_FILE=${ca} python3 client.py`],
    ]),
    '',
    "For this machine, if you want that; whoever has the CA's key can then pose as any site to it:",
    ...commands([
      [
        'Debian, Ubuntu',
        `sudo cp ${ca} /usr/local/share/ca-certificates/offloop.crt && sudo update-ca-certificates`,
      ],
      ['Fedora, Arch', `sudo trust anchor ${ca}`],
      [
        'macOS',
        `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${ca}`,
      ],
      ['Windows', `certutil -addstore -user Root ${ca}`],
      ['Chromium, Linux', `certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n ${quoted(name)} -i ${ca}`],
      ['Firefox', 'Settings, Privacy & Security, View Certificates, Authorities, Import'],
    ]),
  ];
}

function commands(rows: readonly (readonly [string, string])[]): string[] {
  return rows.map(([where, command]) => `  ${where.padEnd(16)} ${command}`);
}

/** A word for a POSIX shell. */
export function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
