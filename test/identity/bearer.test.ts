/** What a connection remembers of the last token, and when it no longer counts. */
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TokenIssuer } from '../../config/jwt.ts';
import { Bearer } from '../../proxy/http/bearer.ts';
import type { Judgement } from '../../proxy/http/judgement.ts';
import { RequestHead } from '../../proxy/http/request-head.ts';
import { TokenChecker } from '../../proxy/identity/token.ts';
import type { Context } from '../../proxy/worker/context.ts';

const ISSUER: TokenIssuer = {
  issuer: 'https://login.example',
  audiences: ['shop'],
  keys: 'memory',
  carrier: { kind: 'header', name: 'authorization' },
  algorithms: ['ES256'],
  clockSkewMs: 0,
  claims: [],
};

let pair: Awaited<ReturnType<typeof generateKeyPair>>;
let published: JWK[];
let now: number;
let checker: TokenChecker;
let bearer: Bearer;
/** Whom the connection was last said to speak for. */
let identities: readonly string[];

beforeEach(async () => {
  pair = await generateKeyPair('ES256');
  published = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'ES256' }];
  now = Date.now();
  checker = new TokenChecker([ISSUER], {
    keysOf: () => createLocalJWKSet({ keys: published }),
    refresh: () => Promise.resolve(),
  });
  bearer = new Bearer({
    clock: {
      epoch: 0,
      get coarse() {
        return now;
      },
    },
  } as unknown as Context);
  identities = [];
});

const token = (subject: string) =>
  new SignJWT({ iss: ISSUER.issuer, aud: 'shop', sub: subject, exp: Math.floor(now / 1000) + 60 })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .sign(pair.privateKey);

/** One request of the connection; whether its token had to be checked. */
async function request(...fields: string[]): Promise<'known' | 'checked'> {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`, 'latin1');
  const head = new RequestHead();
  expect(head.scan(bytes, 0, bytes.length, 8_192, 100)).toBeNull();
  const judgement = {
    checker,
    identify: (found: readonly string[]) => {
      identities = found;
    },
  } as unknown as Judgement;
  for (let checks = 0; ; checks++) {
    let wake = () => {};
    const checked = new Promise<void>((resolve) => {
      wake = resolve;
    });
    if (bearer.identify(bytes, head, judgement, { tokenChecked: wake })) return checks === 0 ? 'known' : 'checked';
    await checked;
  }
}

describe('the token of the request before', () => {
  it('is not checked again where the next request brings it, wherever in its head', async () => {
    const anna = await token('anna');
    expect(await request(`Authorization: Bearer ${anna}`)).toBe('checked');
    expect(await request(`Accept: */*`, `authorization:   Bearer ${anna}  `)).toBe('known');
    expect(identities).toContain('jwt:anna');
  });

  it('says nothing of a request with another, with none, or with several', async () => {
    const [anna, bert] = await Promise.all([token('anna'), token('bert')]);
    await request(`Authorization: Bearer ${anna}`);
    expect(await request(`Authorization: Bearer ${bert}`)).toBe('checked');
    expect(identities).toContain('jwt:bert');
    await request();
    expect(identities).toEqual([]);
    await request(`Authorization: Bearer ${anna}`);
    expect(identities).toContain('jwt:anna');
    await request(`Authorization: Bearer ${anna}`, `Authorization: Bearer ${bert}`);
    expect([identities, bearer.fault]).toEqual([[], 'several']);
    await request(`Authorization: Bearer ${anna}`);
    await request(`Authorization: Bearer ${bert}`, `Authorization: Bearer ${anna}`);
    expect([identities, bearer.fault]).toEqual([[], 'several']);
  });

  it('counts no longer once it has run out', async () => {
    const anna = await token('anna');
    await request(`Authorization: Bearer ${anna}`);
    now += 61_000;
    await request(`Authorization: Bearer ${anna}`);
    expect([identities, bearer.fault]).toEqual([[], 'expired']);
  });

  it('is checked a few times at most where keys change all the while, and then again with the next request', async () => {
    let checks = 0;
    checker = new TokenChecker([ISSUER], {
      keysOf: () => {
        checks++;
        checker.forget();
        return createLocalJWKSet({ keys: published });
      },
      refresh: () => Promise.resolve(),
    });
    const anna = await token('anna');
    expect(await request(`Authorization: Bearer ${anna}`)).toBe('checked');
    expect([checks, identities.includes('jwt:anna')]).toEqual([3, true]);
    published = [];
    await request(`Authorization: Bearer ${anna}`);
    expect([identities, bearer.fault]).toEqual([[], 'no-key']);
  });

  it('counts no longer once its key was withdrawn, also on a connection that is kept', async () => {
    const anna = await token('anna');
    await request(`Authorization: Bearer ${anna}`);
    published = [];
    checker.forget();
    await request(`Authorization: Bearer ${anna}`);
    expect([identities, bearer.fault]).toEqual([[], 'no-key']);
  });

  it('leaves no fault behind for a request that brings none', async () => {
    const [anna, bert] = await Promise.all([token('anna'), token('bert')]);
    await request(`Authorization: Bearer ${anna}`, `Authorization: Bearer ${bert}`);
    expect(bearer.fault).toBe('several');
    await request();
    expect([identities, bearer.fault]).toEqual([[], null]);
  });

  it('is checked once where it runs out within a second', async () => {
    now = Math.floor(now / 1000) * 1000 + 900;
    const short = await new SignJWT({ iss: ISSUER.issuer, aud: 'shop', sub: 'anna', exp: now / 1000 - 0.2 })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(pair.privateKey);
    await request(`Authorization: Bearer ${short}`);
    expect([identities, bearer.fault]).toEqual([[], 'expired']);
  });

  it('counts no longer for a policy that takes other tokens', async () => {
    const anna = await token('anna');
    await request(`Authorization: Bearer ${anna}`);
    checker = new TokenChecker([{ ...ISSUER, audiences: ['bank'] }], {
      keysOf: () => createLocalJWKSet({ keys: published }),
      refresh: () => Promise.resolve(),
    });
    await request(`Authorization: Bearer ${anna}`);
    expect([identities, bearer.fault]).toEqual([[], 'audience']);
  });

  it('is looked for where tokens come, and not in Authorization, where they come elsewhere', async () => {
    checker = new TokenChecker([{ ...ISSUER, carrier: { kind: 'header', name: 'x-token' } }], {
      keysOf: () => createLocalJWKSet({ keys: published }),
      refresh: () => Promise.resolve(),
    });
    const anna = await token('anna');
    await request();
    await request(`X-Token: ${anna}`);
    expect(identities).toContain('jwt:anna');
    await request(`Authorization: ${anna}`);
    expect(identities).toEqual([]);
  });

  it('is of nobody where tokens are not taken any more', async () => {
    await request(`Authorization: Bearer ${await token('anna')}`);
    bearer.forget();
    expect([bearer.identities, bearer.fault]).toEqual([[], null]);
  });
});
