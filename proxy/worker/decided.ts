/** What a decision brings about beside the verdict: shadow rules are counted, and flows of rules that ask for it are told to the log. */
import { parentPort } from 'node:worker_threads';
import type { ConnectionFacts } from '../../policy/connection.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { shadowRules } from '../../policy/shadow.ts';
import type { FromWorker } from '../node/plan.ts';
import * as ledger from '../shared/ledger.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { Flow, Party } from './account.ts';
import type { Context } from './context.ts';

/** Lines a worker logs in a second; what is beyond is counted and told with the next one. The journal has them all. */
const LOGGED_PER_SECOND_MAX = 100;

const met: number[] = [];
let second = 0;
let logged = 0;
let unlogged = 0;

/** Counts the shadow rules that a flow meets. To be called where the image has any. */
export function countShadows(
  context: Context,
  vip: number,
  atom: number,
  flow: Flow,
  protocols: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): void {
  const { image, ledger: counters } = context.policy;
  met.length = 0;
  shadowRules(image, vip, atom, protocols, request, connection, flow.rule, met);
  for (const rule of met) {
    const action = image.ruleAction(rule);
    if (action !== 'pass') counters.rule(rule, action === 'allow' ? ledger.RULE_WOULD_ALLOW : ledger.RULE_WOULD_DENY);
  }
}

/** Tells the log of a flow whose rule asks for it. To be called where the image has such rules. */
export function logDecided(context: Context, flow: Flow, party: Party): void {
  const { image } = context.policy;
  if (flow.rule < 0 || !image.ruleLogs(flow.rule)) return;
  const now = Math.floor(context.clock.coarse / 1_000);
  if (now !== second) {
    second = now;
    logged = 0;
  }
  if (logged >= LOGGED_PER_SECOND_MAX) {
    unlogged++;
    hitNodeLimit('log-lines');
    return;
  }
  logged++;
  const message: FromWorker = {
    type: 'decided',
    receipt: context.journal.receipt(flow.receipt),
    application: image.applicationName(image.ruleApplication(flow.rule)),
    rule: image.ruleName(flow.rule),
    verdict: flow.verdict === ledger.RULE_ALLOW ? 'allow' : flow.verdict === ledger.RULE_DENY ? 'deny' : 'would_deny',
    source: party.source,
    vip: party.listener.text,
    unlogged,
  };
  unlogged = 0;
  parentPort?.postMessage(message);
}
