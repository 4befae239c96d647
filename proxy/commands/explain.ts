/** `bulkhead explain`: the verdict on a flow, on many, or on one that happened, with its why. */
import { existsSync } from 'node:fs';
import type { Document, FlowQuestion } from '../../config/document.ts';
import { parseQuestion } from '../../config/question.ts';
import { compile } from '../../policy/compile.ts';
import { type Explanation, explain, wayOfQuestion } from '../../policy/explain.ts';
import type { Image } from '../../policy/image.ts';
import type { Way } from '../../policy/way.ts';
import { NO_OVERLAY, type Overlay } from '../versions/record.ts';
import type { AdminWords } from './admin-client.ts';
import { answerLines } from './batch.ts';
import { apartIn, laidOver, loadOverlay, withOverlay } from './beside-document.ts';
import { learn } from './circumstances.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { isOfNode, loadNamed } from './named-document.ts';
import { explainReceipt, looksLikeReceipt } from './receipt.ts';
import { IN_FORCE } from './values.ts';

const FIELDS = [
  'from',
  'to',
  'protocol',
  'over',
  'method',
  'host',
  'path',
  'sni',
  'ja4',
  'user',
  'database',
  'schema',
  'command',
  'at',
] as const;
/** Words that may come several times, by the field that they make up. */
const LISTS = { alpn: 'alpn', identity: 'identities', key: 'keys' } as const;

export type ExplainWords = { readonly [Field in (typeof FIELDS)[number]]?: string } & AdminWords & {
    readonly batch?: true;
    readonly header?: readonly string[];
  } & { readonly [Word in keyof typeof LISTS]?: readonly string[] };

/** Resolves to the exit status: the verdict, or for a batch whether every line could be answered. */
export async function explainCommand(subject: string, words: ExplainWords): Promise<number> {
  const said: string[] = FIELDS.filter((field) => words[field] !== undefined);
  for (const word of ['header', 'alpn', 'identity', 'key'] as const) if (words[word] !== undefined) said.push(word);
  if (words.batch) {
    if (said.length > 0) throw new CommandError(`--batch reads its flows from standard input: leave out ${said.map(dashed).join(' and ')}`);
    return explainBatch(await policyOf(subject, words));
  }
  if (said.length > 0) return explainFlow(subject, words);
  if (isOfNode(subject) || existsSync(subject))
    throw new CommandError(`say which flow: --from and --to, or --batch; see bulkhead explain --help`);
  if (!looksLikeReceipt(subject))
    throw new CommandError(`${JSON.stringify(subject)} is neither a file nor a receipt; see bulkhead explain --help`);
  return explainReceipt(subject, words);
}

/** The policy of a file, or of a node; of what is in force as the node enforces it now, with what holds beside the document. */
async function policyOf(name: string, words: AdminWords): Promise<Policy> {
  const written = (await loadNamed([name], words))[0]!;
  const overlay = name === IN_FORCE ? await loadOverlay(words) : NO_OVERLAY;
  const { document } = laidOver(written, overlay);
  const { circumstances, warnings } = await learn(document);
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  return { document, overlay, image: compile(document, circumstances) };
}

interface Policy {
  readonly document: Document;
  readonly image: Image;
  readonly overlay: Overlay;
}

function answer({ image, overlay }: Policy, question: FlowQuestion): Explanation {
  return withOverlay(explain(image, question), overlay);
}

/** Where an allowed flow goes, as fields of the answer; none for one that goes nowhere. */
function wayFields({ image, document, overlay }: Policy, question: FlowQuestion, { verdict }: Explanation): WayFields {
  const way = verdict === 'allow' ? wayOfQuestion(image, document, question) : null;
  if (way === null) return {};
  const apart = apartIn([...(way.pool === null ? [] : [way.pool]), ...Object.keys(way.split ?? {})], overlay);
  return apart.length === 0 ? way : { ...way, apart };
}

/** `apart`: servers there that take no new flows. */
type WayFields = Partial<Way> & { readonly apart?: ReturnType<typeof apartIn> };

async function explainFlow(file: string, words: ExplainWords): Promise<number> {
  if (words.from === undefined) throw new CommandError('--from is missing: the address of the source, such as --from 198.51.100.7');
  if (words.to === undefined) throw new CommandError('--to is missing: the VIP, such as --to 127.0.0.1:8080');
  const fields = Object.fromEntries(FIELDS.flatMap((field) => (words[field] === undefined ? [] : [[field, words[field]]])));
  const headers = (words.header ?? []).map(headerOf);
  const lists = Object.entries(LISTS).flatMap(([word, field]) => {
    const list = words[word as keyof typeof LISTS];
    return list === undefined ? [] : [[field, list]];
  });
  const reading = parseQuestion({
    ...fields,
    ...Object.fromEntries(lists),
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
  });
  if (!reading.ok) throw new CommandError(reading.message);
  const policy = await policyOf(file, words);
  const explanation = answer(policy, reading.question);
  const way = wayFields(policy, reading.question, explanation);
  if (words.json) printJson({ ...explanation, ...way });
  else print(...describe(explanation, fields, way));
  return explanation.verdict === 'allow' ? EXIT.yes : EXIT.no;
}

/** `name: value`, as it is written in a request. */
function headerOf(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon < 1) throw new CommandError(`--header ${JSON.stringify(text)} has no name: write --header 'x-team: blue'`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

/** A verdict a line; what takes a search (the rules before, the nearest) is left to the question about one flow. */
async function explainBatch(policy: Policy): Promise<number> {
  const bad = await answerLines(process.stdin, process.stdout, (question) => {
    const explanation = answer(policy, question);
    const { verdict, application, rule, tier, at, reason, needs } = explanation;
    return { verdict, application, rule, tier, at, reason, needs, ...wayFields(policy, question, explanation) };
  });
  return bad === 0 ? EXIT.yes : EXIT.wrong;
}

function describe(explanation: Explanation, fields: Readonly<Record<string, string>>, way: WayFields): string[] {
  const { verdict, application, rule, tier, at, reason, considered, nearest } = explanation;
  // Nobody wrote the cluster lane's rule; that it did not decide tells a reader nothing.
  const before = considered.filter((other) => other.tier !== 'cluster');
  const { protocol, over, method, host, path, sni, user, database, schema, command } = fields;
  const carried = over === undefined ? protocol : `${protocol} over ${over}`;
  const request = [carried, method, host, path, sni, user, database, schema, command].filter((fact) => fact !== undefined).join(' ');
  return [
    `${verdict}: ${fields.from} to ${fields.to}${request === '' ? '' : ` (${request})`}`,
    `  application  ${application ?? 'none'}`,
    `  rule         ${rule}${tier === rule ? '' : ` (${tier})`}${at === null ? '' : ` at ${at}`}`,
    `  reason       ${reason}`,
    ...wayLine(way),
    ...(way.apart ?? []).map(({ pool, server, state }) => `  set apart    ${pool}/${server} (${state})`),
    ...before.map((other) => `  before it    ${other.rule}${other.at === null ? '' : ` at ${other.at}`}: ${other.why}`),
    ...(nearest === null
      ? []
      : [`  to allow     ${nearest.rule}${nearest.at === null ? '' : ` at ${nearest.at}`}, given ${nearest.change}`]),
  ];
}

function wayLine({ route, pool, split, redirect }: Partial<Way>): string[] {
  if (route === undefined) return [];
  const where = redirect ? 'the client is sent elsewhere' : split === undefined ? `pool ${pool}` : `pools ${sharesText(split)}`;
  return [`  goes to      ${where}${route === null ? '' : ` by route ${route}`}`];
}

/** `web (90 %), web-next (10 %)` */
function sharesText(split: Readonly<Record<string, number>>): string {
  const sum = Object.values(split).reduce((a, b) => a + b, 0);
  return Object.entries(split)
    .map(([pool, share]) => `${pool} (${Number(((share / sum) * 100).toFixed(2))} %)`)
    .join(', ');
}

function dashed(field: string): string {
  return `--${field}`;
}
