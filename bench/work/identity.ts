/** What it costs to know who sends a request: the same requests, each with a token, where no rule asks for it and where one does. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { type Arena, costOf, interleave, startPeer } from '../arena.ts';
import type { Measure } from '../findings.ts';
import { ANYONE_RULE, bulkheadWith } from '../peers/bulkhead.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { wrk } from './http.ts';

export const NOBODY_ASKS = 'no rule asks';
export const RULE_ASKS = 'a rule asks';
const ISSUER = 'https://login.example';

const IDENTITY: Measure = {
  key: 'identity-requests',
  title: 'Identity by token, HTTP/1.1 keep-alive',
  unit: 'µs/request',
  rateUnit: 'requests/s',
  how: 'wrk, 64 connections, every request with a JWT (ES256) of some 400 bytes; the rule that decides asks for a claim of it',
  baseline: NOBODY_ASKS,
};

export async function identity(arena: Arena): Promise<void> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const keys = join(arena.folder, 'keys.json');
  await writeFile(keys, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'ES256' }] }));
  const token = await new SignJWT({ groups: ['readers'], scope: 'catalogue:read orders:read' })
    .setProtectedHeader({ alg: 'ES256', kid: 'bench' })
    .setIssuer(ISSUER)
    .setAudience('bench')
    .setSubject('4711')
    .setExpirationTime('1 hour')
    .sign(privateKey);
  const jwt = `    jwt: [{ issuer: ${ISSUER}, audiences: [bench], keys: ${JSON.stringify(keys)}, claims: [groups] }]`;
  const readers = '      - { name: readers, identities: ["claim:groups=readers"], action: allow }';
  const contenders = [
    bulkheadWith(NOBODY_ASKS, { segments: '', rules: ANYONE_RULE, web: `${jwt}\n    rules:\n${ANYONE_RULE}` }),
    bulkheadWith(RULE_ASKS, { segments: '', rules: ANYONE_RULE, web: `${jwt}\n    rules:\n${readers}\n${ANYONE_RULE}` }),
  ];
  const running: RunningPeer[] = [];
  try {
    for (const contender of contenders) {
      const peer = await startPeer(arena, contender);
      if (peer !== null) running.push(peer);
    }
    await interleave(arena, IDENTITY, running, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () =>
        wrk(peer.ports.http, seconds, 'load', 'http', [`Authorization: Bearer ${token}`]),
      );
      return { value: nsPerUnit / 1e3, ...rest };
    });
  } finally {
    for (const peer of running) await peer.stop();
  }
}
