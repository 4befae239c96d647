/** Questions by the names that people give flows, against the naive walker, which is given what is found on such flows when they are live. */
import { expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { PLAIN_QUESTION } from '../../config/match.ts';
import { protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { liveFlows, oracle } from './oracle.ts';
import { edgeSources, HOSTS, METHODS, PATHS, randomDocument, randomFrom } from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const DOCUMENTS = Number(process.env.BULKHEAD_PAIRS ?? 150);

function setOf(names: readonly string[]): number {
  return names.reduce((set, name) => set | protocolBit(name)!, 0);
}

it(`a flow that is named is judged by what is found on it when it is live (seed ${SEED})`, { timeout: 60_000 }, () => {
  const random = randomFrom(SEED);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  let byOtherThanItsName = 0;
  for (let number = 0; number < DOCUMENTS; number++) {
    const document = randomDocument(random, false);
    const image = compile(document, { now: 0 });
    const sources = edgeSources(document, random).filter((source) => source !== null);
    for (const application of document.applications) {
      for (const { endpoint } of application.vips) {
        if (endpoint.kind !== 'tcp') continue;
        for (const { named, found } of liveFlows(application.mode)) {
          const source = pick(sources);
          const request = { method: pick(METHODS), host: pick(HOSTS), path: pick(PATHS) };
          const from = parseAddress(source)!;
          const question = {
            ...PLAIN_QUESTION,
            from,
            to: endpoint,
            protocols: setOf(named),
            ...request,
            headers: [],
            identities: [],
            at: null,
          };
          const flow = { source, port: endpoint.port, request };
          const answer = explain(image, question);
          const expected = oracle(document, application, { ...flow, protocols: setOf(found) }, 0);
          expect(`${answer.verdict} ${answer.tier}/${answer.rule}`, `seed ${SEED}, document ${number}: ${named} from ${source}`).toBe(
            expected,
          );
          if (oracle(document, application, { ...flow, protocols: setOf(named) }, 0) !== expected) byOtherThanItsName++;
        }
      }
    }
  }
  expect(byOtherThanItsName).toBeGreaterThan(0);
});
