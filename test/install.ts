/** Brings the peers that are missing from Debian, without letting one of them start as a service. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { missingPeers, type Peer } from './peers.ts';

/** Maintainer scripts ask this program before they start a daemon; 101 means no (Debian Policy, invoke-rc.d). */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d';
const SERVICE_POLICY_TEXT = '#!/bin/sh\nexit 101\n';
const APT_TIMEOUT_MS = 240_000;
const APT_ENVIRONMENT = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1', LC_ALL: 'C.UTF-8' };

/** Installs what is missing where that is possible; returns what is missing still. Says on standard output what it does. */
export function installMissingPeers(): Peer[] {
  const missing = missingPeers();
  if (missing.length === 0) return [];
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return missing;
  const packages = [...new Set(missing.map((peer) => peer.debianPackage))];
  console.log(`peers: installing ${packages.join(' ')} from Debian (once; this takes a minute or two) ...`);
  withoutServices(() => {
    if (apt(['update'])) apt(['install', '-y', '--no-install-recommends', ...packages]);
  });
  return missingPeers();
}

/** A policy of the machine's own is left as it is. */
function withoutServices(install: () => void): void {
  const ours = !existsSync(SERVICE_POLICY);
  if (ours) writeFileSync(SERVICE_POLICY, SERVICE_POLICY_TEXT, { mode: 0o755 });
  try {
    install();
  } finally {
    if (ours) rmSync(SERVICE_POLICY, { force: true });
  }
}

function apt(args: readonly string[]): boolean {
  const result = spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: APT_ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: APT_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return true;
  const reason = result.error?.message ?? `exit status ${result.status}`;
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd().split('\n').slice(-20).join('\n');
  console.log(`${output}\npeers: apt-get ${args[0]} failed (${reason})`);
  return false;
}
