/** OCSP responses from files: what is stapled, what is not and why, and for how long. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatProblem } from '../../config/problem.ts';
import { readOcspResponse } from '../../proxy/tls/ocsp-response.ts';
import { inspectTls } from '../../proxy/tls/tls-files.ts';
import { documentOf, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { dial, type Edge, startEdge, yamlOf } from './edge.ts';

const DAY_MS = 86_400_000;

let authority: Authority;
let shop: Issued;
let staple: string;
let edge: Edge;

beforeAll(async () => {
  authority = new Authority();
  shop = authority.issue({ names: ['DNS:shop.example.com'] });
  staple = authority.staple(shop, { days: 7 });
  edge = await startEdge({ tls: tlsOf(staple), server: 9001 });
});

afterAll(async () => {
  await edge.at.stop();
  authority.remove();
});

const tlsOf = (file: string) => `{ certificates: [{ certificate: ${shop.certificate}, key: ${shop.key}, ocsp: ${file} }] }`;

/** The response with another time in the place of one of its three: produced at, this update, next update. Nobody here checks its signature. */
function retimed(which: 0 | 1 | 2, moment: number): Buffer {
  const bytes = Buffer.from(readFileSync(staple));
  const [...times] = bytes.toString('latin1').matchAll(/\d{14}Z/g);
  bytes.write(`${new Date(moment).toISOString().replace(/\.\d+|\D/g, '')}Z`, times[which]!.index, 'latin1');
  return bytes;
}

function written(name: string, bytes: Buffer): string {
  const file = authority.path(name);
  writeFileSync(file, bytes);
  return file;
}

/** What a client that asks for it is given. */
async function stapled(): Promise<Buffer | null> {
  const options = { port: edge.port, host: '127.0.0.1', servername: 'shop.example.com', ca: readFileSync(authority.ca), requestOCSP: true };
  const socket = connect(options);
  const [response] = (await once(socket, 'OCSPResponse')) as [Buffer | null];
  socket.destroy();
  return response;
}

describe('what the file holds', () => {
  const table: readonly { what: string; file: () => string; after?: number; says: RegExp | null }[] = [
    { what: 'a good answer', file: () => staple, says: null },
    {
      what: 'one that has run out',
      file: () => staple,
      after: 8 * DAY_MS,
      says: /warning\[ocsp-expired\].* held until .*T.*Z, so it is not stapled\. Fetch a new one/,
    },
    {
      what: 'one of another certificate',
      file: () => authority.staple(authority.issue()),
      says: /warning\[ocsp-other\].* is about serial number [0-9A-F]+, and that of shop\.example\.com is [0-9A-F]+, so it is not stapled/,
    },
    {
      what: 'one that does not know the certificate',
      file: () => authority.staple(shop, { known: false }),
      says: /warning\[ocsp-not-good\].* says that the certificate is unknown, so it is not stapled/,
    },
    {
      what: 'one that does not hold yet',
      file: () => written('early.der', retimed(1, Date.now() + DAY_MS)),
      says: /warning\[ocsp-not-yet\].*the clock of this machine/,
    },
    { what: 'noise', file: () => written('noise.der', Buffer.from('noise')), says: /error\[ocsp-unusable\]/ },
    // RFC 6960 §4.2.1: tryLater, which some responders hand out where the answer should be.
    {
      what: 'a failure of the responder',
      file: () => written('later.der', Buffer.from('30030a0103', 'hex')),
      says: /error\[ocsp-unusable\]/,
    },
    { what: 'half of one', file: () => written('half.der', readFileSync(staple).subarray(0, 100)), says: /error\[ocsp-unusable\]/ },
    {
      what: 'more than one',
      file: () => written('two.der', Buffer.concat([readFileSync(staple), readFileSync(staple)])),
      says: /error\[ocsp-unusable\]/,
    },
    { what: 'a certificate', file: () => shop.certificate, says: /error\[ocsp-unusable\]/ },
  ];
  for (const { what, file, after = 0, says } of table)
    it(what, () => {
      const problems = inspectTls(documentOf(yamlOf(8443, { tls: tlsOf(file()), server: 9001 })), Date.now() + after).map(formatProblem);
      if (says === null) expect(problems).toEqual([]);
      else {
        expect(problems).toEqual([expect.stringMatching(says)]);
        expect(problems[0]).toMatch(/^test\.yaml:[0-9]+:[0-9]+: /);
      }
    });

  it('is never too much for its reader, whatever it is', () => {
    const real = readFileSync(staple);
    const changed = fc.array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = Buffer.from(real);
      for (const [at, value] of changes) copy[at] = value;
      return copy;
    });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((noise) => Buffer.from(noise)),
      changed,
    );
    fc.assert(
      fc.property(bytes, (given) => {
        const read = readOcspResponse(given);
        if (read !== null) expect([Number.isNaN(read.thisUpdate), Number.isNaN(read.nextUpdate)]).toEqual([false, false]);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('what clients get', () => {
  it('the response, where they ask for it', async () => {
    expect(await stapled()).toEqual(readFileSync(staple));
    (await dial(edge.port, authority)).destroy();
  });

  it('nothing where it has run out, and is not good', async () => {
    for (const file of [written('old.der', retimed(2, Date.now() - DAY_MS)), authority.staple(shop, { known: false })]) {
      expect((await edge.apply({ tls: tlsOf(file), server: 9001 })).ok).toBe(true);
      expect(await stapled()).toBe(null);
    }
    const told = edge.at.logged.filter(({ level }) => level === 'warn').map(({ fields }) => (fields as { message: string }).message);
    expect(told).toEqual([expect.stringMatching(/ocsp-expired/), expect.stringMatching(/ocsp-not-good/)]);
  });

  it('nothing from the moment on at which it runs out', async () => {
    const file = written('short.der', retimed(2, Date.now() + 2_000));
    await edge.apply({ tls: tlsOf(file), server: 9001 });
    expect(await stapled()).toEqual(readFileSync(file));
    await until(async () => (await stapled()) === null);
  });
});
