/**
 * The account of a flow: opened once with its verdict, closed once with who ended it and why. Both sides of "opened = closed + live" are here
 * and nowhere else, and so is the record that the journal gets.
 */
import { protocolNames } from '../../config/protocols.ts';
import type { FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import type { Admitting } from './admitting.ts';
import type { TlsFacts } from './arrival.ts';
import type { Context } from './context.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { ListenerPlace } from './session.ts';

export type EndedBy = 'client' | 'server' | 'proxy' | 'policy';

/** Where the text of a request stands, for the record. */
export interface RequestText {
  /** Method and target as sent on: the method from 0 to `methodEnd`, the target from `pathStart` to `pathEnd`. */
  readonly bytes: Buffer;
  readonly methodEnd: number;
  readonly pathStart: number;
  readonly pathEnd: number;
  readonly hostName: Buffer;
}

/** What is the same for all flows of a connection, or nearly always. */
export class Party {
  readonly listener: ListenerPlace;
  readonly source: string;
  /** What the client's hello said; null where there was none. */
  readonly tls: TlsFacts | null;
  /** The front of the last record, and what it was made of. */
  private ready: Buffer | null = null;
  private application = '';
  private protocols = 0;
  private method = '';
  private host: Buffer | null = null;

  constructor(listener: ListenerPlace, source: string, tls: TlsFacts | null = null) {
    this.listener = listener;
    this.source = source;
    this.tls = tls;
  }

  /** hot: writes the part of a record from `application` to `path`, for a flow that is a whole connection. */
  write(journal: JournalWriter, application: string, protocols: number): void {
    const { listener } = this;
    let kept = listener.record;
    if (kept === null || kept.application !== application || kept.protocols !== protocols) {
      const text = (value: string | null) => JSON.stringify(value);
      kept = listener.record = {
        application,
        protocols,
        front: Buffer.from(`","application":${text(application)},"source":"`),
        back: Buffer.from(`","vip":${text(listener.text)},"protocol":${text(protocolName(protocols))}`),
      };
    }
    journal.raw(kept.front);
    journal.plain(this.source);
    journal.raw(kept.back);
    journal.raw(this.tls === null ? NOTHING_ASKED : Buffer.from(nothingAsked(this.tls)));
  }

  /** hot: the part of the record from `application` to the opening quote of the path; a connection has many requests, nearly alike. */
  lead(application: string, protocols: number, request: RequestText): Buffer {
    const host = request.hostName;
    if (
      this.ready !== null &&
      this.application === application &&
      this.protocols === protocols &&
      this.host === host &&
      this.isMethod(request)
    )
      return this.ready;
    this.application = application;
    this.protocols = protocols;
    this.host = host;
    this.method = request.bytes.toString('latin1', 0, request.methodEnd);
    const asked = `${helloText(this.tls)},"method":${jsonOf(this.method)},"host":${jsonOf(request.hostName.toString('latin1'))},"path":"`;
    this.ready = Buffer.from(
      `","application":${jsonOf(application)},"source":${jsonOf(this.source)},"vip":${jsonOf(this.listener.text)},"protocol":${jsonOf(protocolName(protocols))}${asked}`,
    );
    return this.ready;
  }

  private isMethod(request: RequestText): boolean {
    const { method } = this;
    if (method.length !== request.methodEnd) return false;
    for (let i = 0; i < method.length; i++) if (request.bytes[i] !== method.charCodeAt(i)) return false;
    return true;
  }
}

/** What a flow is held to. */
export interface LimitsOfFlow {
  /** hot where there are limits: bytes that were read for the flow. */
  spend(length: number): void;
  /** Until when nothing is read of the flow, or was; by the worker's clock. Long ago where it never was held back. */
  readonly heldUntil: number;
  /** The flow is over, or counts for another rule from here on. */
  release(): void;
}

export class Flow {
  receipt = 0;
  /** Monotonic milliseconds. */
  startedAt = 0;
  rule = -1;
  verdict: ledger.RuleVerdict | -1 = -1;
  protocols = 0;
  /** `pool/address`. */
  server: string | null = null;
  status = 0;
  bytesIn = 0;
  bytesOut = 0;
  live = false;
  /** No longer allowed, and coming to its end. */
  draining = false;
  /** Of the rule that allows it; null where that has none. */
  limits: LimitsOfFlow | null = null;
  /** The policy that admitted it; its names are those of the record. */
  policy: Admitting | null = null;

  /** Until when we read nothing of it, or did, for its rate's sake: no peer is to be blamed for that silence. */
  get heldUntil(): number {
    return this.limits?.heldUntil ?? Number.NEGATIVE_INFINITY;
  }
}

let receipts = 0;

/** hot: a flow has its verdict. `rule` -1 where there is none because the bytes were no request; such a flow is recorded, not counted. */
export function openFlow(
  context: Context,
  flow: Flow,
  application: number,
  rule: number,
  verdict: ledger.RuleVerdict | -1,
  now: number,
): void {
  const policy = context.policy;
  flow.receipt = ++receipts;
  flow.startedAt = now;
  flow.rule = rule;
  flow.verdict = verdict;
  flow.server = null;
  flow.status = 0;
  flow.bytesIn = 0;
  flow.bytesOut = 0;
  flow.live = true;
  flow.draining = false;
  flow.policy = policy;
  if (verdict === -1) return;
  policy.ledger.add(application, ledger.FLOWS_OPENED, 1);
  policy.ledger.rule(rule, verdict);
}

/** hot: the same for a flow that has begun before its verdict: it keeps its start, its bytes and its server. */
export function openLate(context: Context, flow: Flow, application: number, rule: number, verdict: ledger.RuleVerdict | -1): void {
  const { startedAt, bytesIn, bytesOut, server } = flow;
  openFlow(context, flow, application, rule, verdict, startedAt);
  flow.bytesIn = bytesIn;
  flow.bytesOut = bytesOut;
  flow.server = server;
}

/** hot: bytes of a connection that is one flow, from (0) or to (1) its client. */
export function countBytes(
  { context, listener, flow }: { readonly context: Context; readonly listener: ListenerPlace; readonly flow: Flow },
  direction: 0 | 1,
  length: number,
): void {
  if (direction === 0) flow.bytesIn += length;
  else flow.bytesOut += length;
  const { application } = listener;
  if (application >= 0) context.policy.ledger.add(application, direction === 0 ? ledger.BYTES_IN : ledger.BYTES_OUT, length);
  if (flow.limits !== null) flow.limits.spend(length);
}

/** hot: the flow is over. `application` is its index in the policy in force now, -1 where that no longer has it. */
export function closeFlow(
  context: Context,
  flow: Flow,
  application: number,
  party: Party,
  request: RequestText | null,
  by: EndedBy,
  reason: string,
  now: number,
): void {
  if (!flow.live) return;
  flow.live = false;
  if (flow.limits !== null) {
    flow.limits.release();
    flow.limits = null;
  }
  writeRecord(context, flow, party, request, by, reason, now);
  if (flow.verdict !== -1 && application >= 0) {
    const counters = context.policy.ledger;
    counters.duration(application, ledger.FLOW_SUM, (now - flow.startedAt) / 1000);
    // Last, and its connection right behind it: who reads them both meanwhile may find one of the two.
    counters.add(application, ledger.FLOWS_CLOSED, 1);
  }
  // A connection that is kept may wait for long, and must not keep the policy of its last request.
  flow.policy = null;
}

function writeRecord(
  context: Context,
  flow: Flow,
  party: Party,
  request: RequestText | null,
  by: EndedBy,
  reason: string,
  now: number,
): void {
  const journal = context.journal;
  const policy = flow.policy!;
  journal.begin(flow.receipt, flow.startedAt);
  const application = nameOf(policy, flow, party);
  if (request === null) party.write(journal, application, flow.protocols);
  else {
    journal.raw(party.lead(application, flow.protocols, request));
    journal.text(request.bytes, request.pathStart, request.pathEnd);
    journal.quote();
  }
  journal.raw(outcomeBytes(policy, flow, by, reason));
  journal.integer(flow.bytesIn);
  journal.raw(BYTES_OUT);
  journal.integer(flow.bytesOut);
  journal.raw(DURATION);
  journal.milliseconds(now - flow.startedAt);
  journal.end(flow.verdict === ledger.RULE_DENY);
}

/** The fields of a record that TLS fills. What was agreed on where TLS ends here; what was offered where it passes. */
function helloFields(tls: TlsFacts | null): Pick<FlowRecord, 'sni' | 'alpn' | 'ja4' | 'tls'> {
  if (tls === null) return { sni: null, alpn: null, ja4: null, tls: null };
  const alpn = tls.terminated
    ? tls.agreed
    : tls.alpn
        .join(',')
        .slice(0, ALPN_CHARACTERS_MAX)
        .replace(/[^!-~]/g, '?') || null;
  return { sni: tls.sni?.slice(0, SNI_CHARACTERS_MAX) ?? null, alpn, ja4: tls.ja4, tls: tls.version };
}

/** As a part of a line: between two others, with the comma before it. */
function helloText(tls: TlsFacts | null): string {
  if (tls === null) return NOTHING_SAID;
  const { sni, alpn, ja4, tls: version } = helloFields(tls);
  return `,"sni":${jsonOf(sni)},"alpn":${jsonOf(alpn)},"ja4":${jsonOf(ja4)},"tls":${jsonOf(version)}`;
}

/** hot: JSON.stringify, without the call where nothing is to be escaped. */
function jsonOf(value: string | null): string {
  if (value === null) return 'null';
  return PLAIN.test(value) ? `"${value}"` : JSON.stringify(value);
}

/** Text that stands for itself in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** Where there was no TLS. */
const NOTHING_SAID = ',"sni":null,"alpn":null,"ja4":null,"tls":null';
/** A client may offer as many protocols as its hello has room for. */
const ALPN_CHARACTERS_MAX = 64;
/** As long as a name can be; a proxy in front may tell of a longer one. */
const SNI_CHARACTERS_MAX = 253;

/** The same, and that there was no request. */
function nothingAsked(tls: TlsFacts | null): string {
  return `${helloText(tls)},"method":null,"host":null,"path":null`;
}
const NOTHING_ASKED = Buffer.from(nothingAsked(null));

/** The record of a live flow, for the API. */
export function describeFlow(context: Context, flow: Flow, party: Party, request: RequestText | null): FlowRecord {
  const policy = flow.policy!;
  const rule = flow.rule;
  const text = (start: number, end: number) => request!.bytes.toString('latin1', start, end);
  return {
    receipt: context.journal.receipt(flow.receipt),
    time: new Date(flow.startedAt + context.clock.epoch).toISOString(),
    application: nameOf(policy, flow, party),
    source: party.source,
    vip: party.listener.text,
    protocol: protocolName(flow.protocols),
    ...helloFields(party.tls),
    method: request === null ? null : text(0, request.methodEnd),
    host: request === null ? null : request.hostName.toString('latin1'),
    path: request === null ? null : text(request.pathStart, request.pathEnd),
    verdict: verdictName(flow.verdict),
    rule: rule < 0 ? null : policy.ruleName(rule),
    tier: rule < 0 ? null : policy.ruleTier(rule),
    generation: policy.generation,
    server: flow.server,
    status: flow.status === 0 ? null : flow.status,
    bytes_in: flow.bytesIn,
    bytes_out: flow.bytesOut,
    duration_ms: Math.round((context.clock.now() - flow.startedAt) * 1000) / 1000,
    ...(flow.draining ? { draining: true } : {}),
    ended_by: null,
    reason: null,
  };
}

function nameOf(policy: Admitting, flow: Flow, party: Party): string {
  if (flow.rule >= 0) return policy.ruleApplication(flow.rule);
  return party.listener.application >= 0 ? policy.applicationName(party.listener.application) : '';
}

function verdictName(verdict: ledger.RuleVerdict | -1): FlowRecord['verdict'] {
  if (verdict === -1) return null;
  return verdict === ledger.RULE_ALLOW ? 'allow' : verdict === ledger.RULE_DENY ? 'deny' : 'would_deny';
}

function protocolName(protocols: number): string | null {
  return protocols === 0 ? null : protocolNames(protocols).at(-1)!;
}

/** What follows the path of a record, up to its numbers, kept ready: a small table, in which one outcome takes the place of another that falls on the same slot. */
interface Outcome {
  readonly generation: number;
  readonly rule: number;
  readonly verdict: number;
  readonly status: number;
  readonly server: string | null;
  readonly by: EndedBy;
  readonly reason: string;
  readonly bytes: Buffer;
}
const OUTCOMES = 64;
const outcomes = new Array<Outcome | undefined>(OUTCOMES);

/** hot */
function outcomeBytes(policy: Admitting, flow: Flow, by: EndedBy, reason: string): Buffer {
  const { rule, verdict, status, server } = flow;
  const slot =
    (rule * 7 + status * 3 + reason.length + (server === null ? 0 : server.length + server.charCodeAt(server.length - 1))) & (OUTCOMES - 1);
  const kept = outcomes[slot];
  if (
    kept !== undefined &&
    kept.generation === policy.generation &&
    kept.rule === rule &&
    kept.verdict === verdict &&
    kept.status === status &&
    kept.server === server &&
    kept.by === by &&
    kept.reason === reason
  )
    return kept.bytes;
  const { generation } = policy;
  const text = (value: string | null) => JSON.stringify(value);
  const decided = `"verdict":${text(verdictName(flow.verdict))},"rule":${text(rule < 0 ? null : policy.ruleName(rule))},"tier":${text(rule < 0 ? null : policy.ruleTier(rule))}`;
  const bytes = Buffer.from(
    `,${decided},"generation":${generation},"server":${text(server)},"status":${status === 0 ? null : status},"ended_by":${text(by)},"reason":${text(reason)},"bytes_in":`,
  );
  outcomes[slot] = { generation, rule, verdict, status, server, by, reason, bytes };
  return bytes;
}

const BYTES_OUT = Buffer.from(',"bytes_out":');
const DURATION = Buffer.from(',"duration_ms":');
