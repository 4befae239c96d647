/** Shadow rules: what they would have decided, for the counters. They never change a verdict. */
import type { ProtocolSet } from '../config/protocols.ts';
import { matchesRequest } from './condition.ts';
import type { ConnectionFacts } from './connection.ts';
import { outcomeIn } from './decide.ts';
import { openDemand } from './demand.ts';
import type { Image } from './image.ts';
import { APPLICATION_WORDS, NOT_ASKED, RECORD_WORDS, VIP_WORDS } from './layout.ts';
import { ALL_PROTOCOLS, OUTCOME_BITS } from './outcome.ts';
import { MANY_CONDITIONS } from './programs.ts';
import { levelOf } from './proposals.ts';
import type { RequestFacts } from './request.ts';
import { programAt } from './rows.ts';
import { partAt } from './walk.ts';

/**
 * Adds to `into` the ids of the shadow rules that a flow meets on its way to the rule that decides it, and that match. Facts that the
 * verdict did not need are not waited for: a rule that asks for one of them is not met.
 */
export function shadowRules(
  image: Image,
  vip: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
  deciding: number,
  into: number[],
): void {
  const at = vip * VIP_WORDS;
  const app = image.vips[at + 1]! * APPLICATION_WORDS;
  const first = image.applications[app + 3]! + 1;
  const ownRecord = image.applications[app + 4]!;
  const afterOwn = image.applications[app + APPLICATION_WORDS + 3]! - 1 - image.baselineCount;
  // The flow is the cluster's.
  if (deciding < first) return;
  const passedBy = passingGuardrail(image, image.vips[at + 2]!, atom, protocols, request, connection);
  collect(image, image.vips[at + 6]!, atom, protocols, request, connection, 0, first, Math.min(deciding, first + passedBy), into);
  collect(image, image.vips[at + 7]!, atom, protocols, request, connection, ownRecord, first + image.guardrailCount, deciding, into);
  collect(image, image.vips[at + 8]!, atom, protocols, request, connection, image.guardrailCount, afterOwn, deciding, into);
}

/** The number of the guardrail that decides or passes; what follows it is not asked. */
function passingGuardrail(
  image: Image,
  row: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  const program = programAt(image, row, atom);
  const outcome = outcomeIn(image, program, 0, atom, protocols === 0 ? ALL_PROTOCOLS : protocols, request, connection);
  const rule = outcome >>> OUTCOME_BITS;
  return rule === 0 ? image.guardrailCount : rule - 1;
}

function collect(
  image: Image,
  row: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
  firstRecord: number,
  firstRule: number,
  before: number,
  into: number[],
): void {
  if (row === NOT_ASKED) return;
  const program = programAt(image, row, atom);
  const level = levelOf(request, connection);
  const indexed = (image.programs[program]! & MANY_CONDITIONS) !== 0;
  const { proposals } = image;
  proposals.begin(
    program,
    indexed && level >= 0 ? partAt(image, program, level, atom) : -1,
    indexed ? level : -1,
    firstRecord,
    protocols === 0 ? ALL_PROTOCOLS : protocols,
    request,
    connection,
    true,
  );
  for (let index = proposals.next(0); index >= 0 && firstRule + index < before; index = proposals.next(0)) {
    if (matches(image, (firstRecord + index) * RECORD_WORDS, atom, protocols, request, connection)) into.push(firstRule + index);
  }
}

function matches(
  image: Image,
  record: number,
  atom: number,
  protocols: ProtocolSet,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): boolean {
  const { records } = image;
  const asked = records[record + 5]!;
  if (protocols === 0 ? asked !== ALL_PROTOCOLS : (asked & protocols) === 0) return false;
  const condition = records[record + 6]!;
  if (condition !== NOT_ASKED && (request === null || !matchesRequest(image.condition(condition), request))) return false;
  const demand = records[record + 14]!;
  return demand === NOT_ASKED || openDemand(image, image.demand(demand), atom, request, connection) === 0;
}
