/** An example for a finding about a rule: a flow that the rule matches, as a question that `explain` answers as the finding says. */
import type { Address } from '../config/address.ts';
import type { Document, FlowQuestion, Rule } from '../config/document.ts';
import { parseEndpoint } from '../config/endpoint.ts';
import { PLAIN_QUESTION } from '../config/match.ts';
import { HTTP } from '../config/protocols.ts';
import { compile } from './compile.ts';
import { PLAIN_CONNECTION } from './connection.ts';
import { explain } from './explain.ts';
import { fitted } from './fitting.ts';
import type { Image } from './image.ts';
import type { Facts } from './question.ts';
import { rulesOf } from './schedule.ts';
import { targetOf } from './space/pattern-tree.ts';

/** VIPs at which an example is looked for. */
const VIPS_TRIED = 64;

export class Witnesses {
  readonly #image: Image;
  readonly #records: ReadonlyMap<Rule, number>;

  constructor(document: Document) {
    this.#image = compile(document);
    this.#records = new Map([...rulesOf(document)].map((rule, i) => [rule, i]));
  }

  /** A flow that the rule matches and that it decides, or that another one does; null where none was found. */
  of(rule: Rule, decides: boolean): FlowQuestion | null {
    const image = this.#image;
    const record = this.#records.get(rule)!;
    for (let vip = 0; vip < Math.min(image.vipCount, VIPS_TRIED); vip++) {
      const app = image.vipApplication(vip);
      if (image.vipEndpoint(vip).startsWith('unix:')) continue;
      const id = idOf(image, app, record);
      const isHttp = image.applicationMode(app) === 'http';
      if (id < 0) continue;
      const request = isHttp ? ({ kind: 'http', method: 'GET', host: 'any.example', path: '/' } as const) : null;
      const facts: Facts = { vip, atom: 0, protocols: isHttp ? HTTP : 0, request, connection: KNOWN, assumed: [] };
      const found = fitted(image, facts, id);
      const question = found === null ? null : questionOf(image, found.facts);
      if (question === null) continue;
      const answer = explain(image, question);
      if ((answer.rule === rule.name && answer.tier === image.ruleTier(id)) === decides && answer.application !== null) return question;
    }
    return null;
  }
}

const KNOWN = { tls: PLAIN_CONNECTION.tls!, identities: PLAIN_CONNECTION.identities! };

/** The id of a record's rule in an application; -1 where it is another one's. */
function idOf(image: Image, app: number, record: number): number {
  const first = image.applicationRuleBase(app);
  for (let id = first + 1; id < image.applicationRuleBase(app + 1) - 1; id++) if (image.ruleRecord(id) === record) return id;
  return -1;
}

/** Facts as a question; null where they have no address, or fields that cannot be listed. */
function questionOf(image: Image, { vip, atom, protocols, request, connection }: Facts): FlowQuestion | null {
  const from = addressIn(image, atom);
  const to = parseEndpoint(image.vipEndpoint(vip));
  if (from === null || !to.ok || (request?.kind === 'http' && request.headers !== undefined)) return null;
  const { sni, alpn, ja4 } = connection.tls;
  const http = request?.kind === 'http' ? { method: request.method, host: request.host, path: targetOf(request.path) } : NO_REQUEST;
  const { kind: _kind, ...query } = request === null || request.kind === 'http' ? { kind: '' } : request;
  const said = { ...PLAIN_QUESTION, sni, alpn, ja4, identities: connection.identities, ...query };
  return { from, to: to.endpoint, protocols, ...http, headers: [], ...said, at: null };
}

const NO_REQUEST = { method: null, host: null, path: null };

/** An address of an atom; null where it has none. */
function addressIn({ ipv4Starts, ipv4Atoms, ipv6Starts, ipv6Atoms }: Image, atom: number): Address | null {
  const four = ipv4Atoms.indexOf(atom);
  if (four >= 0) {
    // The address that names a network is no good example of a host in it.
    const next = ipv4Starts[four + 1] ?? 2 ** 32;
    const first = ipv4Starts[four]!;
    return { family: 4, words: [0, 0, 0xffff, first + 1 < next ? first + 1 : first] };
  }
  const six = ipv6Atoms.indexOf(atom) * 4;
  return six < 0 ? null : { family: 6, words: [ipv6Starts[six]!, ipv6Starts[six + 1]!, ipv6Starts[six + 2]!, ipv6Starts[six + 3]!] };
}
