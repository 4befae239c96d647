/**
 * What a decision costs with each shape of rule, from one rule to ten thousand, with all facts known and before they are. `--json` prints the figures
 * as JSON, `--quick` leaves sizes out, `--only TEXT` takes the shapes whose names have it.
 */
import { parseAddress } from '../../config/address.ts';
import { protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, NO_TLS, UNKNOWN_CONNECTION } from '../../policy/connection.ts';
import { decide, ruleOf } from '../../policy/decide.ts';
import type { Image } from '../../policy/image.ts';
import { atomOf } from '../../policy/lookup.ts';
import { shadowRules } from '../../policy/shadow.ts';
import { withHead } from './head.ts';
import { SHAPES, type Shape, type ShapeFlow } from './shapes.ts';

const QUICK = process.argv.includes('--quick');
const SIZES = QUICK ? [100, 10_000] : [1, 10, 100, 1_000, 10_000];
const FLOWS = 500;
const ROUND_NS = 5e6;
const ROUNDS = 10;
/** A Monday. */
const NOW = Date.parse('2026-03-30T10:00:00Z');

interface Figures {
  readonly shape: string;
  readonly rules: number;
  /** Nanoseconds with all facts known; before the request, the identity, the hello and the protocol are; and of shadow rules beside. */
  readonly known: number;
  readonly noRequest: number;
  readonly noIdentity: number;
  readonly noTls: number;
  readonly noProtocol: number;
  readonly shadows: number | null;
  readonly compileMs: number;
  readonly imageMb: number;
}

interface Asked {
  readonly atom: number;
  readonly protocols: number;
  readonly flow: ShapeFlow;
  readonly connection: ConnectionFacts;
}

let kept = 0;

/** The best of a few rounds, each of as many decisions as take a while. */
function nanoseconds(flows: readonly Asked[], run: (asked: Asked) => number): number {
  const round = (count: number) => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) kept += run(flows[i % flows.length]!);
    return Number(process.hrtime.bigint() - start);
  };
  const count = Math.max(50, Math.min(50_000, Math.round((ROUND_NS * 100) / round(100))));
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) best = Math.min(best, round(count) / count);
  return Math.round(best);
}

function measure(shape: Shape, rules: number): Figures {
  const document = shape.document(rules);
  const knowledge = shape.knowledge(rules);
  const start = performance.now();
  const image = compile(document, { now: NOW, ...(knowledge === undefined ? {} : { knowledge }) });
  const compileMs = Math.round(performance.now() - start);
  const flows = flowsOf(shape, rules, image);
  const into: number[] = [];
  return {
    shape: shape.name,
    rules,
    known: nanoseconds(flows, ({ atom, protocols, flow, connection }) =>
      decide(image, 0, atom, protocols, withHead(flow.request, flow.head), connection),
    ),
    noRequest: nanoseconds(flows, ({ atom, protocols, connection }) => decide(image, 0, atom, protocols, null, connection)),
    noIdentity: nanoseconds(flows, ({ atom, protocols }) => decide(image, 0, atom, protocols, null, HELLO_ALONE)),
    noTls: nanoseconds(flows, ({ atom, protocols }) => decide(image, 0, atom, protocols, null, UNKNOWN_CONNECTION)),
    noProtocol: nanoseconds(flows, ({ atom, connection }) => decide(image, 0, atom, 0, null, connection)),
    shadows: image.hasShadows
      ? nanoseconds(flows, ({ atom, protocols, flow, connection }) => {
          into.length = 0;
          shadowRules(image, 0, atom, protocols, withHead(flow.request, flow.head), connection, image.ruleCount, into);
          return into.length;
        })
      : null,
    compileMs,
    imageMb: Math.round(image.buffer.byteLength / 1e5) / 10,
  };
}

const HELLO_ALONE: ConnectionFacts = { tls: NO_TLS, identities: null };

/** Flows that meet rules from the first to the last, and one that meets none. */
function flowsOf(shape: Shape, rules: number, image: Image): Asked[] {
  const step = Math.max(1, Math.floor(rules / FLOWS));
  const flows = Array.from({ length: FLOWS + 1 }, (_, i) => shape.flow(i === FLOWS ? -1 : (i * step) % rules));
  return flows.map((flow) => {
    const { tls, identities, protocol } = flow;
    return {
      flow,
      atom: atomOf(image, ...parseAddress(flow.source)!.words),
      protocols: protocolBit(protocol)!,
      connection: { tls, identities },
    };
  });
}

const only = process.argv.indexOf('--only');
const shapes = only < 0 ? SHAPES : SHAPES.filter(({ name }) => name.includes(process.argv[only + 1]!));
// A first pass warms the compiler up on all shapes, so that those measured first don't pay for it.
for (const shape of shapes) measure(shape, 100);
const figures = shapes.flatMap((shape) => SIZES.map((rules) => measure(shape, rules)));
if (ruleOf(kept) < 0) throw new Error('no decisions');
if (process.argv.includes('--json')) console.log(JSON.stringify({ figures }, null, 2));
else console.table(figures);
