/** A list of rules of which some have demands, rule by rule: whichever facts are known are enough to go on. */
import { matchesRequest } from './condition.ts';
import type { ConnectionFacts } from './connection.ts';
import { ASKS_IDENTITY, ASKS_REQUEST, ASKS_TLS, openDemand, UNMET } from './demand.ts';
import type { Image } from './image.ts';
import { NOT_ASKED, RECORD_WORDS } from './layout.ts';
import { MAY_ALLOW, MAY_DENY, MAY_NEXT, OUTCOME_BITS, outcomeOf } from './outcome.ts';
import { KNOWN_AT, LEVELS } from './patterns.ts';
import { isMeant, notePending, pending, settlePending } from './pending.ts';
import { BY_DEMAND, MANY_CONDITIONS, outcomeWords, PAIRS_SHIFT } from './programs.ts';
import { levelOf } from './proposals.ts';
import type { RequestFacts } from './request.ts';
import { programAt } from './rows.ts';

const BOTH = MAY_ALLOW | MAY_DENY;

/** Of the list that is walked: outcomes of rules that may match, and the cheapest fact that is not known. One list at a time. */
const progress = { may: 0, cheapest: 0 };

/**
 * What a list comes to. Rules that may match for want of facts leave their outcomes beside that of the rule that surely does, and are noted
 * in `pending`.
 *
 * hot where rules have demands: allocates nothing.
 */
export function walkDemands(
  image: Image,
  program: number,
  firstRecord: number,
  atom: number,
  protocols: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  const { programs } = image;
  const head = programs[program]!;
  const start = program + 1 + outcomeWords(head);
  const count = head >>> PAIRS_SHIFT;
  if ((head & MANY_CONDITIONS) !== 0) return walkProposed(image, program, firstRecord, atom, protocols, request, connection);
  begin(connection);
  for (let at = start; at < start + count * 2; at += 2) {
    for (let bits = programs[at + 1]!; bits !== 0; bits &= bits - 1) {
      const index = programs[at]! * 32 + 31 - Math.clz32(bits & -bits);
      const result = look(image, index, firstRecord, atom, protocols, request, connection);
      if (result !== MAY_NEXT) return progress.may | result;
    }
  }
  return progress.may | MAY_NEXT;
}

/** hot: allocates nothing. The same past all rules whose patterns the flow doesn't meet, and past those that would say nothing new. */
export function walkProposed(
  image: Image,
  program: number,
  firstRecord: number,
  atom: number,
  protocols: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  const { proposals } = image;
  begin(connection);
  // Without demands a program is asked with a request or without.
  const demands = (image.programs[program]! & BY_DEMAND) !== 0;
  const level = demands ? levelOf(request, connection) : request === null ? LEVELS - 2 : LEVELS - 1;
  const part = demands && level >= 0 ? partAt(image, program, level, atom) : -1;
  proposals.begin(program, part, level, firstRecord, protocols, request, demands ? connection : null, false);
  for (let index = proposals.next(0); index >= 0; index = proposals.next(progress.may)) {
    const result = look(image, index, firstRecord, atom, protocols, request, connection);
    if (result !== MAY_NEXT) return progress.may | result;
  }
  return progress.may | MAY_NEXT;
}

/** hot: of a program with many conditions, that of its rules for which it is not asked who the client is; -1 for none. See `Parts`. */
export function partAt(image: Image, program: number, level: number, atom: number): number {
  const head = image.programs[program]!;
  const at = program + 1 + outcomeWords(head) + (head >>> PAIRS_SHIFT) * 2;
  const row = image.programs[KNOWN_AT[level]! & ASKS_IDENTITY ? at + 1 : at]!;
  return row === 0 ? -1 : programAt(image, row - 1, atom);
}

function begin({ tls, identities }: ConnectionFacts): void {
  progress.may = 0;
  progress.cheapest = tls === null ? ASKS_TLS : identities === null ? ASKS_IDENTITY : ASKS_REQUEST;
}

/** hot: what one rule comes to: its outcome where it ends the list, MAY_NEXT where the list goes on. */
function look(
  image: Image,
  index: number,
  firstRecord: number,
  atom: number,
  protocols: number,
  request: RequestFacts | null,
  connection: ConnectionFacts,
): number {
  const { records } = image;
  const record = (firstRecord + index) * RECORD_WORDS;
  if (!isMeant(records[record + 5]!, protocols)) return MAY_NEXT;
  const condition = records[record + 6]!;
  const demand = records[record + 14]!;
  let open = 0;
  if (condition !== NOT_ASKED) {
    if (request === null) open = ASKS_REQUEST;
    else if (!matchesRequest(image.condition(condition), request)) return MAY_NEXT;
  }
  if (demand !== NOT_ASKED) {
    const rest = openDemand(image, image.demand(demand), atom, request, connection);
    if (rest === UNMET) return MAY_NEXT;
    open |= rest;
  }
  const outcome = outcomeOf(records[record + 4]!);
  if (open === 0) {
    settlePending(outcome);
    return outcome | ((index + 1) << OUTCOME_BITS);
  }
  progress.may |= outcome;
  notePending(outcome, open);
  // Both verdicts are possible, and nothing cheaper can be asked for.
  return (progress.may & BOTH) === BOTH && (pending.facts & progress.cheapest) !== 0 ? BOTH : MAY_NEXT;
}
