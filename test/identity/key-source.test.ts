import { readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createSecured } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { KeySets } from '../../proxy/identity/key-sets.ts';
import { KeySource } from '../../proxy/identity/key-source.ts';
import { KEYS_WAIT_MS } from '../../proxy/identity/token.ts';
import { Authority } from '../tls/authority.ts';

let keySet: JSONWebKeySet;
let server: Server;
let answer: { status: number; body: string };
let asked: number;
let location: string;
let now: number;
const sources: KeySource[] = [];

beforeEach(async () => {
  const { publicKey } = await generateKeyPair('ES256');
  keySet = { keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] };
  asked = 0;
  now = 0;
  answer = { status: 200, body: JSON.stringify(keySet) };
  server = createServer((_, response) => {
    asked++;
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  location = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
});

afterEach(async () => {
  for (const source of sources.splice(0)) await source.stop();
  await new Promise((resolve) => server.close(resolve));
});

/** A source, and what it says in turn: a set, null, or trouble in words. */
function watched(refreshMs?: number, retryMs?: number) {
  const said: (JSONWebKeySet | null | string)[] = [];
  const heard: (() => void)[] = [];
  const say = (what: JSONWebKeySet | null | string) => {
    said.push(what);
    for (const wake of heard.splice(0)) wake();
  };
  const events = { learnt: (_: string, keys: JSONWebKeySet | null) => say(keys), trouble: (_: string, message: string) => say(message) };
  const source = new KeySource(
    { ...events, recovered: () => say('recovered') },
    { ...(refreshMs && { refreshMs }), ...(retryMs && { retryMs }) },
    () => now,
  );
  sources.push(source);
  const until = async (count: number) => {
    while (said.length < count) await new Promise<void>((resolve) => heard.push(resolve));
    return said;
  };
  return { source, until, said };
}

describe('keys of an issuer', () => {
  it('are fetched when they are first named, and not again for the next policy', async () => {
    const { source, until } = watched();
    source.settle(new Set([location]));
    expect(await until(1)).toEqual([keySet]);
    source.settle(new Set([location]));
    expect(asked).toBe(1);
    expect([...source.sets()]).toEqual([[location, keySet]]);
  });

  it('can come from a file', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'keys-')), 'keys.json');
    await writeFile(file, answer.body);
    const { source, until } = watched();
    source.settle(new Set([file]));
    expect(await until(1)).toEqual([keySet]);
  });

  it.each([
    ['an error', { status: 500, body: '' }, /answered 500/],
    ['no JSON', { status: 200, body: 'hello' }, /JSON/],
    ['JSON that is no key set', { status: 200, body: '{}' }, /JSON Web Key Set malformed/],
    ['a set without keys', { status: 200, body: '{"keys":[]}' }, /no key that could check a signature/],
    ['a set of secrets', { status: 200, body: '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}' }, /no key that could/],
    [
      'a set of keys that cannot be read',
      { status: 200, body: '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}' },
      /no key that could/,
    ],
    ['more than a key set can be', { status: 200, body: ' '.repeat(600_000) }, /larger than/],
  ])('stay as they were when the answer is %s', async (_, bad, words) => {
    const { source, until } = watched(20);
    source.settle(new Set([location]));
    await until(1);
    answer = bad;
    expect((await until(2))[1]).toMatch(words);
    expect([...source.sets()]).toEqual([[location, keySet]]);
    expect(source.states()[0]!.fault).toMatch(words);
  });

  it('are fetched again for a token whose key is not there, but not for every such token', async () => {
    const { source, until } = watched();
    source.settle(new Set([location]));
    await until(1);
    now = 9_999;
    source.wanted(location);
    expect((await until(2))[1]).toBeNull();
    expect(asked).toBe(1);
    now = 10_000;
    source.wanted(location);
    // Asked, and nothing new has come: what tokens came to still holds.
    expect((await until(3))[2]).toBeNull();
    expect(asked).toBe(2);
    source.wanted('http://127.0.0.1:1/other');
    expect(asked).toBe(2);
    // The clock was set back by an hour.
    now -= 3_600_000;
    source.wanted(location);
    expect((await until(4))[3]).toBeNull();
    expect(asked).toBe(3);
  });
});

describe('a location that does not answer', () => {
  it('is said once a reason, asked again before long by itself, and its failures are counted', async () => {
    answer = { status: 503, body: '' };
    const { source, until, said } = watched(undefined, 5);
    source.settle(new Set([location]));
    expect((await until(1))[0]).toBe('answered 503');
    await vi.waitUntil(() => asked >= 4);
    expect(said).toEqual(['answered 503']);
    expect(source.states()).toMatchObject([{ location, fetchedAt: null, fetched: 0, fault: 'answered 503' }]);
    answer = { status: 200, body: '{}' };
    expect((await until(2))[1]).toMatch(/malformed/);
    answer = { status: 200, body: JSON.stringify(keySet) };
    now = 77;
    expect((await until(4)).slice(2)).toEqual(['recovered', keySet]);
    expect(source.states()).toMatchObject([{ fetchedAt: 77, fetched: 1, fault: null }]);
    expect(source.states()[0]!.failed).toBeGreaterThanOrEqual(4);
  });

  it('is left alone for twice as long after each failure, up to a minute', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'keys-')), 'missing.json');
    const waits: number[] = [];
    const { source } = watched(undefined, 1_000);
    const { setImmediate: soon } = globalThis;
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((run: () => void, ms: number) => {
      waits.push(ms);
      soon(run);
      return { unref() {} };
    }) as unknown as typeof setTimeout);
    onTestFinished(() => void vi.restoreAllMocks());
    source.settle(new Set([file]));
    while (waits.length < 8) await new Promise((resolve) => soon(resolve));
    expect(waits.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000));
  });

  it('that answers once it is named no more is not heard', async () => {
    const held: (() => void)[] = [];
    server.removeAllListeners('request');
    server.on('request', ({ url }, response) => {
      if (url === '/keys') held.push(() => response.end(answer.body));
      else response.end('{}');
    });
    const { source, until } = watched();
    source.settle(new Set([location]));
    await vi.waitUntil(() => held.length === 1);
    source.settle(new Set([`${location}/other`]));
    held[0]!();
    await until(1);
    source.settle(new Set([`${location}/third`]));
    expect((await until(2)).map((said) => typeof said)).toEqual(['string', 'string']);
  });

  it('whose authority is unknown is told of with what makes it known', async () => {
    const strangers = new Authority('Strangers');
    const { certificate, key } = strangers.issue({ names: ['IP:127.0.0.1'] });
    const secured = createSecured({ cert: readFileSync(certificate), key: readFileSync(key) });
    strangers.remove();
    await new Promise<void>((resolve) => secured.listen(0, '127.0.0.1', resolve));
    const { source, until } = watched();
    source.settle(new Set([`https://127.0.0.1:${(secured.address() as AddressInfo).port}/keys`]));
    expect((await until(1))[0]).toMatch(/^unable to verify the first certificate: start the node with NODE_EXTRA_CA_CERTS /);
    await new Promise((resolve) => secured.close(resolve));
  });

  it('that says null where a set should be has none', async () => {
    answer = { status: 200, body: 'null' };
    const { source, until } = watched();
    source.settle(new Set([location]));
    expect((await until(1))[0]).toMatch(/malformed|null/);
    expect([...source.sets()]).toEqual([]);
  });
});

describe('a worker that waits for keys', () => {
  it('asks once, and goes on when they come, or when there is no hope', async () => {
    const wanted: string[] = [];
    const sets = new KeySets((where) => wanted.push(where));
    const both = Promise.all([sets.refresh('a'), sets.refresh('a')]);
    sets.learn('a', keySet);
    await both;
    expect(wanted).toEqual(['a']);
    expect(sets.keysOf('a')).not.toBeNull();
    const again = sets.refresh('a');
    sets.learn('a', null);
    await again;
    expect(wanted).toEqual(['a', 'a']);
    expect(sets.keysOf('a')).not.toBeNull();
  });

  it('asks again for what it has waited for in vain', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const wanted: string[] = [];
    const sets = new KeySets((where) => wanted.push(where));
    for (let i = 0; i < 2; i++) {
      const waited = sets.refresh('a');
      await vi.advanceTimersByTimeAsync(KEYS_WAIT_MS);
      await waited;
    }
    expect(wanted).toEqual(['a', 'a']);
  });
});
