/**
 * What a decision costs against the number of rules and prefixes, and what compiling costs. `--json` prints the figures as JSON,
 * `--quick` takes a tenth of the rounds.
 */
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, NO_TLS, PLAIN_CONNECTION, UNKNOWN_CONNECTION } from '../../policy/connection.ts';
import { decide } from '../../policy/decide.ts';
import type { Image } from '../../policy/image.ts';
import { atomOf } from '../../policy/lookup.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { type By, type Size, scatteredPrefixes, sceneOf } from './scenes.ts';

/** The best of many short rounds: what others do on the machine falls into some of them only. */
const ROUNDS = 25;
const DECISIONS = process.argv.includes('--quick') ? 20_000 : 200_000;

interface Figures {
  readonly scene: string;
  readonly prefixes: number;
  readonly rules: number;
  readonly applications: number;
  readonly lookupNs: number;
  readonly decisionNs: number;
  /** With what rules speak of known, and before it is. */
  readonly requestNs: number | null;
  readonly beforeNs: number | null;
  readonly compileMs: number;
  readonly imageMb: number;
  readonly atoms: number;
}

const SCENES: readonly (readonly [string, Size])[] = [
  ...[1, 10, 100, 1_000, 10_000].map((rules): [string, Size] => ['rules by source', { prefixes: 100_000, rules, applications: 1 }]),
  ...[1, 10, 100, 1_000, 10_000].map((rules): [string, Size] => ['rules by path', { prefixes: 1_000, rules, applications: 1, http: true }]),
  ...(['identity', 'sni', 'postgres', 'redis'] as const).flatMap((by) =>
    [1, 10, 100, 1_000, 10_000].map((rules): [string, Size] => [`rules by ${by}`, { prefixes: 1_000, rules, applications: 1, by }]),
  ),
  ...[10, 100, 1_000, 10_000, 100_000].map((prefixes): [string, Size] => ['prefixes', { prefixes, rules: 1_000, applications: 10 }]),
  ['whole', { prefixes: 100_000, rules: 10_000, applications: 1_000, guardrails: 50 }],
  ['one segment', { prefixes: 100_000, rules: 10_000, applications: 1_000, segments: 1 }],
];

/** Sources inside the document's prefixes and beside them, in an order that no cache guesses. */
function sourcesOf(count: number): Uint32Array {
  const prefixes = scatteredPrefixes(count);
  const words = new Uint32Array(65_536 * 4);
  for (let i = 0; i < words.length; i += 4) {
    const at = Math.imul(i >>> 2, 0x9e3779b1) >>> 0;
    words.set(prefixes[at % prefixes.length]!.words, i);
    words[i + 3]! += at & 7;
  }
  return words;
}

function nanoseconds(run: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  let kept = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    kept += run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / DECISIONS);
  }
  // The sum is used, so that nothing is optimised away.
  if (Number.isNaN(kept)) throw new Error('no decisions');
  return Math.round(best);
}

function measure(scene: string, size: Size): Figures {
  const document = sceneOf(size);
  const start = performance.now();
  const image = compile(document);
  const compileMs = Math.round(performance.now() - start);
  const sources = sourcesOf(size.prefixes);
  const atomAt = (i: number) => {
    const at = (i & 0xffff) * 4;
    return atomOf(image, sources[at]!, sources[at + 1]!, sources[at + 2]!, sources[at + 3]!);
  };
  const lookupNs = nanoseconds(() => {
    let sum = 0;
    for (let i = 0; i < DECISIONS; i++) sum += atomAt(i);
    return sum;
  });
  const decisionNs = nanoseconds(() => {
    let sum = 0;
    for (let i = 0; i < DECISIONS; i++) sum += decide(image, i % image.vipCount, atomAt(i), 2, null, PLAIN_CONNECTION);
    return sum;
  });
  return {
    scene,
    prefixes: size.prefixes,
    rules: size.rules,
    applications: size.applications,
    lookupNs,
    decisionNs,
    requestNs: size.http
      ? requestNanoseconds(image, size.rules, atomAt)
      : size.by
        ? factNanoseconds(image, size.by, size.rules, atomAt)
        : null,
    beforeNs: size.by ? beforeNanoseconds(image, size.by, atomAt) : null,
    compileMs,
    imageMb: Math.round(image.buffer.byteLength / 1e5) / 10,
    atoms: image.atomCount,
  };
}

/** Requests for a thousand of the paths that rules name, and for one that none names. */
function requestNanoseconds(image: Image, rules: number, atomAt: (i: number) => number): number {
  const step = Math.max(1, Math.floor(rules / 1_000));
  const requests = Array.from({ length: 1_000 }, (_, i) => ({
    kind: 'http' as const,
    method: 'GET',
    host: 'shop.example',
    path: `/service-${(i * step) % rules}/cart`,
  }));
  requests.push({ kind: 'http', method: 'GET', host: 'shop.example', path: '/elsewhere' });
  return nanoseconds(() => {
    let sum = 0;
    for (let i = 0; i < DECISIONS; i++) sum += decide(image, 0, atomAt(i), 2, requests[i % requests.length]!, PLAIN_CONNECTION);
    return sum;
  });
}

/** Flows that meet one of a thousand rules, and one that meets none. A client's certificate has four names. */
function factNanoseconds(image: Image, by: By, rules: number, atomAt: (i: number) => number): number {
  const step = Math.max(1, Math.floor(rules / 1_000));
  const flows = Array.from({ length: 1_001 }, (_, i) => factsOf(by, i === 1_000 ? -1 : (i * step) % rules));
  return nanoseconds(() => {
    let sum = 0;
    for (let i = 0; i < DECISIONS; i++) {
      const { request, connection } = flows[i % flows.length]!;
      sum += decide(image, 0, atomAt(i), 2, request, connection);
    }
    return sum;
  });
}

/** The answer that the fact is needed. */
function beforeNanoseconds(image: Image, by: By, atomAt: (i: number) => number): number {
  const connection = by === 'identity' ? { tls: NO_TLS, identities: null } : by === 'sni' ? UNKNOWN_CONNECTION : PLAIN_CONNECTION;
  return nanoseconds(() => {
    let sum = 0;
    for (let i = 0; i < DECISIONS; i++) sum += decide(image, 0, atomAt(i), 2, null, connection);
    return sum;
  });
}

function factsOf(by: By, i: number): { request: RequestFacts | null; connection: ConnectionFacts } {
  switch (by) {
    case 'identity': {
      const uri = `spiffe://cluster.example/ns/team-${i % 7}/sa/service-${i}${i % 4 === 0 ? '/blue' : ''}`;
      const identities = [uri, `cn:service-${i}`, `subject:CN=service-${i},O=Example`, 'issuer:CN=Example Issuing CA 1,O=Example'];
      return { request: null, connection: { tls: NO_TLS, identities } };
    }
    case 'sni': {
      const tls = { sni: `${i % 2 === 0 ? 'www.' : ''}shop-${i}.example.com`, alpn: ['h2', 'http/1.1'], ja4: null };
      return { request: null, connection: { tls, identities: [] } };
    }
    case 'postgres':
      return { request: { kind: 'postgres', user: `service-${i}`, database: 'orders' }, connection: PLAIN_CONNECTION };
    case 'redis':
      return { request: { kind: 'redis', user: 'default', command: 'get', keys: [`service-${i}:cart:42`] }, connection: PLAIN_CONNECTION };
  }
}

// A first pass warms the compiler up on all shapes, so that the scenes measured first don't pay for it.
for (const [scene, size] of SCENES.slice(3, 8)) measure(scene, size);
const figures = SCENES.map(([scene, size]) => measure(scene, size));
const peakMb = Math.round(process.resourceUsage().maxRSS / 1024);
if (process.argv.includes('--json')) console.log(JSON.stringify({ decisions: DECISIONS, peakMb, figures }, null, 2));
else {
  console.table(figures);
  console.log(`peak memory of the whole run: ${peakMb} MB`);
}
