/** Is this a place that offloop runs on, and what does it run with? */
import { type Finding, ok, problem } from './finding.js';
import type { LoadedCore, System } from './system.js';

export function coreFindings(system: System, oldestNode: string): Finding[] {
  return [platform(system), node(system, oldestNode), ...binary(system), ...entropy(system)];
}

/** The core, if it is loaded. */
export function loaded({ core }: System): LoadedCore | undefined {
  return 'error' in core ? undefined : core;
}

function platform({ platform: name, arch, release, glibc }: System): Finding {
  const library = glibc === undefined ? '' : `, glibc ${glibc}`;
  return ok('platform', `${name} ${arch}, kernel ${release}${library}`);
}

function node({ node: version, openssl }: System, oldest: string): Finding {
  const text = `${version} with OpenSSL ${openssl}`;
  if (isBefore(version, oldest))
    return problem('Node', text, `Node ${oldest} or newer is needed: install it.`);
  return ok('Node', text);
}

function isBefore(version: string, oldest: string): boolean {
  const [own, least] = [version, oldest].map((each) => each.split('.').map(Number));
  for (const [i, number] of least!.entries())
    if ((own![i] ?? 0) !== number) return (own![i] ?? 0) < number;
  return false;
}

function binary(system: System): Finding[] {
  const { core } = system;
  if ('error' in core) {
    const advice =
      'Install offloop again, on this machine and with optional dependencies; ' +
      'there are binaries for Linux (glibc, musl) and macOS, each on x64 and arm64.';
    return [problem('backend', `no binary could be loaded: ${core.error}`, advice)];
  }
  const { rustls, awsLcRs, tokio } = core.versions;
  return [
    ok('backend', `native: the binary for this platform loads, ${core.file}`),
    ok('core', `rustls ${rustls}, aws-lc-rs ${awsLcRs}, tokio ${tokio}`),
  ];
}

function entropy(system: System): Finding[] {
  const answer = loaded(system)?.entropy;
  switch (answer) {
    case undefined:
      return [];
    case null:
      return [ok('random numbers', 'by getentropy(2), which never waits')];
    case 'ready':
      return [ok('random numbers', 'getrandom(2) answers at once')];
    case 'EAGAIN':
      return [
        problem(
          'random numbers',
          'the kernel has not gathered enough entropy: the first handshake waits for it',
          'Give the virtual machine a virtio-rng device, or start haveged.',
        ),
      ];
    default:
      return [
        problem(
          'random numbers',
          `getrandom(2) fails (${answer})`,
          "Allow it in the container's seccomp profile; Linux has it from 3.17 on.",
        ),
      ];
  }
}
