/** `bulkhead explain`: the verdict on a flow, on many, or on one that happened, with its why. */
import { existsSync } from 'node:fs';
import { parseQuestion } from '../../config/question.ts';
import { compile } from '../../policy/compile.ts';
import { type Explanation, explain } from '../../policy/explain.ts';
import type { Image } from '../../policy/image.ts';
import { answerLines } from './batch.ts';
import { learn } from './circumstances.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { explainReceipt, looksLikeReceipt } from './receipt.ts';

const FIELDS = ['from', 'to', 'protocol', 'method', 'host', 'path', 'at'] as const;

export type ExplainWords = { readonly [Field in (typeof FIELDS)[number]]?: string } & {
  readonly batch?: true;
  readonly json?: true;
  readonly admin: string;
  readonly header?: readonly string[];
};

/** Resolves to the exit status: the verdict, or for a batch whether every line could be answered. */
export async function explainCommand(subject: string, words: ExplainWords): Promise<number> {
  const said: string[] = FIELDS.filter((field) => words[field] !== undefined);
  if (words.header !== undefined) said.push('header');
  if (words.batch) {
    if (said.length > 0) throw new CommandError(`--batch reads its flows from standard input: leave out ${said.map(dashed).join(' and ')}`);
    return explainBatch(await imageOf(subject));
  }
  if (said.length > 0) return explainFlow(subject, words);
  if (existsSync(subject)) throw new CommandError(`say which flow: --from and --to, or --batch; see bulkhead explain --help`);
  if (!looksLikeReceipt(subject))
    throw new CommandError(`${JSON.stringify(subject)} is neither a file nor a receipt; see bulkhead explain --help`);
  return explainReceipt(subject, words.admin, words.json === true);
}

/** The policy of a file as it is now. */
async function imageOf(file: string): Promise<Image> {
  const document = loadGoodFile(file);
  const { circumstances, warnings } = await learn(document);
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  return compile(document, circumstances);
}

async function explainFlow(file: string, words: ExplainWords): Promise<number> {
  if (words.from === undefined) throw new CommandError('--from is missing: the address of the source, such as --from 198.51.100.7');
  if (words.to === undefined) throw new CommandError('--to is missing: the VIP, such as --to 127.0.0.1:8080');
  const fields = Object.fromEntries(FIELDS.flatMap((field) => (words[field] === undefined ? [] : [[field, words[field]]])));
  const headers = (words.header ?? []).map(headerOf);
  const reading = parseQuestion(headers.length === 0 ? fields : { ...fields, headers: Object.fromEntries(headers) });
  if (!reading.ok) throw new CommandError(reading.message);
  const explanation = explain(await imageOf(file), reading.question);
  if (words.json) printJson(explanation);
  else print(...describe(explanation, fields));
  return explanation.verdict === 'allow' ? EXIT.yes : EXIT.no;
}

/** `name: value`, as it is written in a request. */
function headerOf(text: string): [string, string] {
  const colon = text.indexOf(':');
  if (colon < 1) throw new CommandError(`--header ${JSON.stringify(text)} has no name: write --header 'x-team: blue'`);
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

/** A verdict a line; what takes a search (the rules before, the nearest) is left to the question about one flow. */
async function explainBatch(image: Image): Promise<number> {
  const bad = await answerLines(process.stdin, process.stdout, (question) => {
    const { verdict, application, rule, tier, at, reason, needs } = explain(image, question);
    return { verdict, application, rule, tier, at, reason, needs };
  });
  return bad === 0 ? EXIT.yes : EXIT.wrong;
}

function describe(explanation: Explanation, fields: Readonly<Record<string, string>>): string[] {
  const { verdict, application, rule, tier, at, reason, considered, nearest } = explanation;
  // Nobody wrote the cluster lane's rule; that it did not decide tells a reader nothing.
  const before = considered.filter((other) => other.tier !== 'cluster');
  const request = [fields.protocol, fields.method, fields.host, fields.path].filter((fact) => fact !== undefined).join(' ');
  return [
    `${verdict}: ${fields.from} to ${fields.to}${request === '' ? '' : ` (${request})`}`,
    `  application  ${application ?? 'none'}`,
    `  rule         ${rule}${tier === rule ? '' : ` (${tier})`}${at === null ? '' : ` at ${at}`}`,
    `  reason       ${reason}`,
    ...before.map((other) => `  before it    ${other.rule}${other.at === null ? '' : ` at ${other.at}`}: ${other.why}`),
    ...(nearest === null
      ? []
      : [`  to allow     ${nearest.rule}${nearest.at === null ? '' : ` at ${nearest.at}`}, given ${nearest.change}`]),
  ];
}

function dashed(field: string): string {
  return `--${field}`;
}
