/** Rules: names that exist and are free, matches that the mode can know. */
import type { Mode, Rule } from './document.ts';
import type { DatabaseMatch, HttpMatch } from './match.ts';
import type { Names } from './names.ts';
import { formatPlace, shown } from './problem.ts';
import type { Protocol, ProtocolSet } from './protocols.ts';
import { protocolBit } from './protocols.ts';
import { checkLimits } from './resolve-limits.ts';
import type { FileShape } from './schema.ts';
import { databaseMatch } from './schema-databases.ts';
import type { Path, Report } from './tree.ts';

/** Names that verdicts use where no rule decided. */
const RESERVED: ReadonlySet<string> = new Set(['default', 'cluster']);

/** What can travel on a flow of requests. Anything else never gets as far as a rule there. */
const HTTP_MODE_PROTOCOLS: ReadonlySet<Protocol> = new Set(['http', 'h2', 'websocket', 'grpc']);

/** What rules are resolved against. `mode` is null for rules of every application; `vipPorts` is sorted. */
export interface RuleContext {
  readonly mode: Mode | null;
  readonly vipPorts: readonly number[];
  readonly names: Names;
  readonly report: Report;
}

/** Keys of a rule that speak of a database. */
const DATABASES = ['postgres', 'mysql', 'redis'] as const;

type RuleShape = FileShape['guardrails'][number];

export function resolveRules(shapes: readonly RuleShape[], list: Path, context: RuleContext): Rule[] {
  const seen = new Map<string, Rule>();
  return shapes.map((shape, index) => {
    const path = [...list, index];
    const rule = resolveRule(shape, path, context);
    checkName(rule, seen.get(rule.name), [...path, 'name'], context.report);
    if (!seen.has(rule.name)) seen.set(rule.name, rule);
    checkMode(shape, path, context);
    checkDatabase(shape, path, context);
    checkAction(rule, path, context.report);
    checkLimits(rule, path, context.mode, context.report);
    checkPorts(rule, [...path, 'ports'], context);
    return rule;
  });
}

function resolveRule(shape: RuleShape, path: Path, { names, report }: RuleContext): Rule {
  const database = databaseMatch(shape);
  const named = shape.protocols === undefined ? null : protocolSet(shape.protocols);
  return {
    name: shape.name,
    action: shape.action,
    from: shape.from === undefined ? [{ kind: 'any' }] : names.terms(shape.from, [...path, 'from']),
    except: names.terms(shape.except ?? [], [...path, 'except']),
    ports: shape.ports ?? null,
    // A rule that speaks of a database is for its protocol alone.
    protocols: database === null ? named : protocolBit(database.kind)!,
    http: shape.http === undefined ? null : httpMatch(shape.http),
    tls: shape.tls === undefined ? null : { sni: shape.tls.sni ?? null, alpn: shape.tls.alpn ?? null, ja4: shape.tls.ja4 ?? null },
    identities: shape.identities ?? null,
    database: database === null || asksNothing(database) ? null : database,
    until: shape.until ?? null,
    schedule: shape.schedule ?? null,
    shadow: shape.shadow,
    ...(shape.silence === undefined ? {} : { silence: shape.silence }),
    log: shape.log,
    denyWith: shape['deny-with'] ?? null,
    onRevoke: shape['on-revoke'] ?? null,
    limits: shape.limits ?? null,
    place: report.place(path),
  };
}

/** The union of the named protocols. */
export function protocolSet(names: readonly Protocol[]): ProtocolSet {
  return names.reduce((set, name) => set | protocolBit(name)!, 0);
}

function httpMatch(shape: NonNullable<RuleShape['http']>): HttpMatch {
  return { methods: shape.methods ?? null, hosts: shape.hosts ?? null, paths: shape.paths ?? null, headers: shape.headers ?? null };
}

function checkName(rule: Rule, earlier: Rule | undefined, path: Path, report: Report): void {
  if (report.isLost(path)) return;
  if (RESERVED.has(rule.name)) {
    report.error(
      'reserved-name',
      path,
      `Verdicts say ${shown(rule.name)} where no rule decided, so that no rule may be named so. Choose another name.`,
    );
  } else if (earlier !== undefined) {
    report.error(
      'duplicate-name',
      path,
      `The rule at ${formatPlace(earlier.place)} is named ${shown(rule.name)} too. Give each rule of a list a name of its own.`,
    );
  }
}

/** What only a denial, or only a permission, can carry. */
function checkAction(rule: Rule, path: Path, report: Report): void {
  if (rule.denyWith !== null && rule.action !== 'deny' && !report.isLost([...path, 'action'])) {
    const message = `A rule that says ${rule.action} denies nobody, so deny-with: has no meaning in it. Remove it, or write action: deny.`;
    report.error('mode-mismatch', [...path, 'deny-with'], message, { side: 'key' });
  }
  if (rule.onRevoke !== null && rule.action === 'pass') {
    const message =
      'A rule that says pass neither admits a flow nor ends one, so on-revoke: has no meaning in it. Remove it, or write it on the rules that decide.';
    report.error('mode-mismatch', [...path, 'on-revoke'], message, { side: 'key' });
  }
}

function checkMode(shape: RuleShape, path: Path, { mode, report }: RuleContext): void {
  if (mode === 'tcp' && shape.http !== undefined) {
    report.error(
      'mode-mismatch',
      [...path, 'http'],
      'An application with mode: tcp carries bytes and never sees a request, so that this rule would never match. Remove http:, or write mode: http.',
      {
        side: 'key',
      },
    );
  }
  if (mode !== 'http') return;
  for (const [index, protocol] of (shape.protocols ?? []).entries()) {
    if (HTTP_MODE_PROTOCOLS.has(protocol)) continue;
    const known = [...HTTP_MODE_PROTOCOLS].join(', ');
    report.error(
      'mode-mismatch',
      [...path, 'protocols', index],
      `An application with mode: http never carries ${protocol}, so that this would never match. Write one of ${known}, or mode: tcp.`,
    );
  }
}

/** A rule speaks of one database, and of nothing that its flows can never be. */
function checkDatabase(shape: RuleShape, path: Path, { mode, report }: RuleContext): void {
  const [kind, second] = DATABASES.filter((key) => shape[key] !== undefined);
  if (kind === undefined) return;
  const complain = (at: Path, message: string, side: 'key' | 'value' = 'key') => report.error('mode-mismatch', at, message, { side });
  if (mode === 'http') {
    const message = `An application with mode: http carries requests and never ${kind}, so that this rule would never match. Remove ${kind}:, or write mode: tcp.`;
    complain([...path, kind], message);
  }
  if (second !== undefined) {
    const message = `No flow is ${kind} and ${second} at once, so that this rule would never match. Make it two rules, one with ${kind}: and one with ${second}:.`;
    complain([...path, second], message);
  }
  if (shape.http !== undefined) {
    const message = `A flow of protocol ${kind} has no requests, so that this rule would never match. Remove http: or ${kind}:, or make it two rules.`;
    complain([...path, 'http'], message);
  }
  for (const [index, protocol] of (shape.protocols ?? []).entries()) {
    if (protocol === kind) continue;
    const message = `A rule with ${kind}: is for the protocol ${kind} alone, so that ${protocol} has no place in it. Remove protocols:, or make it two rules.`;
    complain([...path, 'protocols', index], message, 'value');
  }
}

/** `postgres: {}` says no more than its protocol. */
function asksNothing(database: DatabaseMatch): boolean {
  return Object.entries(database).every(([key, value]) => key === 'kind' || value === null);
}

function checkPorts(rule: Rule, path: Path, { vipPorts, report, mode }: RuleContext): void {
  for (const [index, [first, last]] of (rule.ports ?? []).entries()) {
    const next = vipPorts[lowerBound(vipPorts, first)];
    if (next !== undefined && next <= last) continue;
    const text = first === last ? `the port ${first}` : `a port from ${first} to ${last}`;
    const whose = mode === null ? 'No application has a VIP' : 'This application has no VIP';
    report.warning('port-never-matches', [...path, index], `${whose} with ${text}, so that this never matches. Correct it, or remove it.`);
  }
}

/** The index of the first entry that is at least `wanted`. */
function lowerBound(sorted: readonly number[], wanted: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
