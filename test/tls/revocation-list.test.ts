import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRevocationList, revocationListsIn, subjectOf } from '../../proxy/tls/revocation-list.ts';
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

  it('stands with others in a file; of one issuer the one that holds for longest counts', () => {
    const file = authority.revoke();
    for (const other of [strangers.revoke(), authority.path('far.crl')]) appendFileSync(file, readFileSync(other));
    const lists = revocationListsIn(readFileSync(file, 'latin1'));
    expect(lists.map(({ issuer, nextUpdate }) => [issuer.text, new Date(nextUpdate).getUTCFullYear() > 2_050])).toEqual([
      ['Test Authority', true],
      [expect.stringContaining('of the'), false],
    ]);
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
      }),
      { numRuns: 2_000 },
    );
  });
});
