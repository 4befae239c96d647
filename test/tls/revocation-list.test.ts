import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { idOf, readRevocationList, revocationListsIn, revokedIn, subjectOf } from '../../proxy/tls/revocation-list.ts';
import { Authority } from './authority.ts';

let authority: Authority;
let strangers: Authority;

beforeAll(() => {
  authority = new Authority();
  strangers = new Authority('Strängers  of the\tNorth');
});
afterAll(() => {
  authority.remove();
  strangers.remove();
});

/** What openssl makes of it. */
function asOpenSsl(file: string, what: string): number {
  return Date.parse(execFileSync('openssl', ['crl', '-in', file, '-noout', `-${what}`], { encoding: 'utf8' }).split('=')[1]!);
}

const derOf = (file: string) => Buffer.from(readFileSync(file, 'latin1').replace(/-----[^-]+-----/g, ''), 'base64');

describe('a revocation list', () => {
  it('says whose it is and until when it holds, as openssl reads it', () => {
    for (const one of [authority, strangers]) {
      const file = one.revoke(one.issue());
      const [list] = revocationListsIn(readFileSync(file, 'latin1'));
      expect(list).toMatchObject({ thisUpdate: asOpenSsl(file, 'lastupdate'), nextUpdate: asOpenSsl(file, 'nextupdate') });
      const ca = subjectOf(new X509Certificate(readFileSync(one.ca)).raw);
      expect(list!.issuer.key).toBe(ca!.key);
    }
    expect(subjectOf(new X509Certificate(readFileSync(authority.ca)).raw)!.text).toBe('Test Authority');
  });

  it('beyond 2049 has its end in four digits', () => {
    const file = authority.path('far.crl');
    execFileSync('openssl', ['ca', '-config', authority.path('ca.cnf'), '-gencrl', '-crldays', '12000', '-out', file], { stdio: 'ignore' });
    expect(new Date(readRevocationList(derOf(file))!.nextUpdate).getUTCFullYear()).toBeGreaterThan(2_050);
  });

  it('stands with others in a file; of one issuer the newest counts, as it does for openssl', () => {
    const [before, other] = [authority.revoke(), strangers.revoke(strangers.issue())].map((file) => readFileSync(file, 'latin1'));
    const old = before!.replace(/-----[^-]+-----/g, '').replace(/\s/g, '');
    // The time of the older one, a year earlier; nobody checks its signature here.
    const bytes = Buffer.from(old, 'base64');
    const at = bytes.indexOf(Buffer.from([0x17, 0x0d]));
    bytes.write(String(Number(bytes.toString('latin1', at + 2, at + 4)) - 1).padStart(2, '0'), at + 2, 'latin1');
    const older = `-----BEGIN X509 CRL-----\n${bytes.toString('base64')}\n-----END X509 CRL-----\n`;
    const bob = authority.issue();
    const newer = readFileSync(authority.revoke(bob), 'latin1');
    for (const text of [older + newer + other, newer + other + older]) {
      const [ours, ...others] = revocationListsIn(text)
        .toSorted((a, b) => b.issuer.text.length - a.issuer.text.length)
        .reverse();
      expect([ours!.issuer.text, others.length]).toEqual(['Test Authority', 1]);
      expect(new Date(ours!.thisUpdate).getUTCFullYear()).toBe(new Date().getUTCFullYear());
      const { issuer, serial } = idOf(new X509Certificate(readFileSync(bob.certificate)).raw)!;
      expect(revokedIn(text).get(issuer)?.has(serial)).toBe(true);
    }
    const { issuer, serial } = idOf(new X509Certificate(readFileSync(bob.certificate)).raw)!;
    expect(revokedIn(older).get(issuer)?.has(serial)).toBe(false);
  });

  it('is never too much for its reader, whatever it is', () => {
    const real = derOf(authority.revoke(authority.issue()));
    const changed = fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = Buffer.from(real);
      for (const [at, value] of changes) copy[at] = value;
      return copy;
    });
    const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(noise, changed), (given) => {
        const read = readRevocationList(given);
        if (read !== null) expect([Number.isNaN(read.thisUpdate), Number.isNaN(read.nextUpdate)]).toEqual([false, false]);
        subjectOf(given);
        idOf(given);
        revokedIn(`-----BEGIN X509 CRL-----${given.toString('base64')}-----END X509 CRL-----`);
      }),
      { numRuns: 2_000 },
    );
  });
});
