/** A list of rules of which some have demands, rule by rule: whichever facts are known are enough to go on. */
import { matchesRequest } from './condition.ts';
import type { ConnectionFacts } from './connection.ts';
import { ASKS_IDENTITY, ASKS_REQUEST, ASKS_TLS, openDemand, UNMET } from './demand.ts';
import type { Image } from './image.ts';
import { NOT_ASKED, RECORD_WORDS } from './layout.ts';
import { MAY_ALLOW, MAY_DENY, MAY_NEXT, OUTCOME_BITS, outcomeOf } from './outcome.ts';
import { notePending, pending, settlePending } from './pending.ts';
import { MANY_CONDITIONS, outcomeWords, PAIRS_SHIFT, pairWords } from './programs.ts';
import type { RequestFacts } from './request.ts';

const BOTH = MAY_ALLOW | MAY_DENY;

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
  const { programs, records } = image;
  const head = programs[program]!;
  const step = pairWords(head);
  const start = program + 1 + outcomeWords(head);
  const end = start + (head >>> PAIRS_SHIFT) * step;
  const cheapest = connection.tls === null ? ASKS_TLS : connection.identities === null ? ASKS_IDENTITY : ASKS_REQUEST;
  const proposed = (head & MANY_CONDITIONS) !== 0 && request !== null && request.kind === 'http';
  if (proposed) image.proposals.propose(request, firstRecord, programs[end - 4]! + 1);
  let may = 0;
  let result = MAY_NEXT;
  for (let at = start; at < end && result === MAY_NEXT; at += step) {
    let bits = programs[at + 1]!;
    if (proposed) bits &= programs[at + 2]! | image.proposals.words[programs[at]!]!;
    for (; bits !== 0; bits &= bits - 1) {
      const index = programs[at]! * 32 + 31 - Math.clz32(bits & -bits);
      const record = (firstRecord + index) * RECORD_WORDS;
      if ((records[record + 5]! & protocols) === 0) continue;
      const condition = records[record + 6]!;
      const demand = records[record + 14]!;
      let open = 0;
      if (condition !== NOT_ASKED) {
        if (request === null) open = ASKS_REQUEST;
        else if (!matchesRequest(image.condition(condition), request)) continue;
      }
      if (demand !== NOT_ASKED) {
        const rest = openDemand(image, image.demand(demand), atom, request, connection);
        if (rest === UNMET) continue;
        open |= rest;
      }
      const outcome = outcomeOf(records[record + 4]!);
      if (open === 0) {
        settlePending(outcome);
        result = outcome | ((index + 1) << OUTCOME_BITS);
        break;
      }
      may |= outcome;
      notePending(outcome, open);
      // Both verdicts are possible, and nothing cheaper can be asked for.
      if ((may & BOTH) === BOTH && (pending.facts & cheapest) !== 0) {
        result = BOTH;
        break;
      }
    }
  }
  if (proposed) image.proposals.clear();
  return may | result;
}
