import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { TOKEN_ALGORITHMS, type TokenIssuer } from '../../config/jwt.ts';
import { type Keys, TOKENS_KEPT_MAX, TokenChecker, type TokenFault } from '../../proxy/identity/token.ts';

const NOW = Date.UTC(2026, 0, 1);
const SECONDS = NOW / 1000;
const ISSUER: TokenIssuer = {
  issuer: 'https://login.example',
  audiences: ['shop', 'store'],
  keys: 'https://login.example/keys',
  carrier: { kind: 'header', name: 'authorization' },
  algorithms: TOKEN_ALGORITHMS,
  clockSkewMs: 30_000,
  claims: ['groups', 'level'],
};
const GOOD = { iss: ISSUER.issuer, aud: 'shop', sub: 'anna', exp: SECONDS + 60 };

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;
let pair: Pair;
let stranger: Pair;
let published: JWK[];

beforeAll(async () => {
  pair = await generateKeyPair('ES256');
  stranger = await generateKeyPair('ES256');
  published = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256' }];
});

/** Keys that are what `sets` says, one after the other, with each refresh. */
class Published implements Keys {
  refreshes = 0;
  private readonly sets: (JWK[] | null)[];
  constructor(...sets: (JWK[] | null)[]) {
    this.sets = sets;
  }
  keysOf() {
    const keys = this.sets[Math.min(this.refreshes, this.sets.length - 1)];
    return keys == null ? null : createLocalJWKSet({ keys });
  }
  async refresh() {
    this.refreshes++;
  }
}

const sign = (payload: JWTPayload, { privateKey }: Pair = pair, kid = 'one') =>
  new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey);

describe('a token', () => {
  it('that holds names its bearer', async () => {
    const checker = new TokenChecker([ISSUER], new Published(published));
    const token = await sign({ ...GOOD, aud: ['shop', 'other'], groups: ['admin', 'ops'], level: 3, other: 'x' });
    const checked = await checker.check(token, NOW);
    expect(checked.fault).toBeNull();
    expect(checked.identities).toEqual([
      'jwt:anna',
      'jwt-issuer:https://login.example',
      'jwt-audience:shop',
      'jwt-audience:other',
      'claim:groups=admin',
      'claim:groups=ops',
      'claim:level=3',
    ]);
    expect(checker.known(token, NOW + 80_000)).toBe(checked);
    expect(checker.known(token, NOW + 90_001)).toBeNull();
  });

  it.each<[string, TokenFault, () => Promise<string>]>([
    ['of another issuer', 'issuer', () => sign({ ...GOOD, iss: 'https://evil.example' })],
    ['for somebody else', 'audience', () => sign({ ...GOOD, aud: 'bank' })],
    ['for nobody', 'audience', () => sign({ iss: GOOD.iss, exp: GOOD.exp })],
    ['that is over, by more than clocks differ', 'expired', () => sign({ ...GOOD, exp: SECONDS - 31 })],
    ['that has not begun', 'not-yet-valid', () => sign({ ...GOOD, nbf: SECONDS + 31 })],
    ['signed by a stranger', 'signature', () => sign(GOOD, stranger)],
    ['with a key that nobody has published', 'no-key', () => sign(GOOD, pair, 'two')],
    ['whose payload was changed', 'signature', async () => (await sign(GOOD)).replace(/\.([^.]+)\./, (_, p) => `.${swap(p)}.`)],
    ['without a signature', 'signature', async () => `${encode({ alg: 'none' })}.${encode(GOOD)}.`],
    ['signed with a shared secret', 'signature', async () => `${encode({ alg: 'HS256' })}.${encode(GOOD)}.AAAA`],
    ['that is none', 'malformed', async () => 'hello'],
    ['of two parts', 'malformed', async () => 'a.b'],
    ['whose payload is no JSON', 'malformed', async () => 'e30.AAAA.AAAA'],
  ])('%s is refused: %s', async (_, fault, make) => {
    const checked = await new TokenChecker([ISSUER], new Published(published)).check(await make(), NOW);
    expect(checked).toMatchObject({ fault, identities: [] });
  });

  it('signed in a way that its issuer is not said to sign in is refused, though its key is published', async () => {
    const checker = new TokenChecker([{ ...ISSUER, algorithms: ['RS256', 'ES384'] }], new Published(published));
    expect(await checker.check(await sign(GOOD), NOW)).toMatchObject({ fault: 'signature', identities: [] });
  });

  it('names its bearer by 64 words at most, none of them longer than 256 characters', async () => {
    const checker = new TokenChecker([ISSUER], new Published(published));
    const long = 'x'.repeat(256 - 'claim:groups='.length);
    const few = await checker.check(await sign({ ...GOOD, groups: [long, `${long}x`, 'ops'] }), NOW);
    expect(few.identities.slice(3)).toEqual([`claim:groups=${long}`, 'claim:groups=ops']);
    const many = await checker.check(await sign({ ...GOOD, groups: Array.from({ length: 100 }, (_, i) => `g${i}`) }), NOW);
    expect([many.identities.length, many.identities.at(-1)]).toEqual([64, 'claim:groups=g60']);
  });

  it.each([
    ['over', { exp: SECONDS - 29 }],
    ['not begun', { nbf: SECONDS + 29 }],
  ])('%s within what clocks may differ still holds', async (_, words) => {
    const checked = await new TokenChecker([ISSUER], new Published(published)).check(await sign({ ...GOOD, ...words }), NOW);
    expect(checked.fault).toBeNull();
  });
});

describe('keys', () => {
  it('are fetched again, once, for a token that names one that is not there', async () => {
    const next = { ...published[0], kid: 'two' } as JWK;
    const keys = new Published(published, [next]);
    const checker = new TokenChecker([ISSUER], keys);
    const token = await sign(GOOD, pair, 'two');
    const both = await Promise.all([checker.check(token, NOW), checker.check(token, NOW)]);
    expect(both.map(({ fault }) => fault)).toEqual([null, null]);
    expect(keys.refreshes).toBe(1);
  });

  it('that are not there at all leave the token refused, for a while', async () => {
    const checker = new TokenChecker([ISSUER], new Published(null));
    const token = await sign(GOOD);
    expect((await checker.check(token, NOW)).fault).toBe('no-keys');
    expect(checker.known(token, NOW + 4_999)?.fault).toBe('no-keys');
    expect(checker.known(token, NOW + 5_001)).toBeNull();
  });
});

it('keeps no more answers than it says', async () => {
  const checker = new TokenChecker([ISSUER], new Published(published));
  for (let i = 0; i <= TOKENS_KEPT_MAX; i++) await checker.check(`x${i}`, NOW);
  expect(checker.known('x0', NOW)).toBeNull();
  expect(checker.known('x1', NOW)?.fault).toBe('malformed');
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const swap = (payload: string) => encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'mallory' });
