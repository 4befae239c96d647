/**
 * Documents by what people call them: a file, `in-force` (what a running node goes by), or `version:3` (what it went by then). A file of such a
 * name is reached as `./in-force`.
 */
import type { Document } from '../../config/document.ts';
import { parseDocument, type Source } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import type { PolicyAnswer } from '../admin/schemas.ts';
import { AdminClient, type AdminWords } from './admin-client.ts';
import { CommandError, EXIT } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { IN_FORCE } from './values.ts';

const VERSION = /^version:([1-9][0-9]{0,8})$/;

/** Whether the name is that of a document that a node has. */
export function isOfNode(name: string): boolean {
  return name === IN_FORCE || name.startsWith('version:');
}

/** The documents, in order. Asks the node only where one of them is its own; ends the command where one cannot be had, or is no good. */
export async function loadNamed(names: readonly string[], words: AdminWords): Promise<Document[]> {
  for (const name of names)
    if (name.startsWith('version:') && !VERSION.test(name))
      throw new CommandError(`${JSON.stringify(name)} names no version: write version:3; bulkhead versions lists them`);
  if (!names.some(isOfNode)) return names.map((name) => loadGoodFile(name));
  const client = new AdminClient(words);
  try {
    const documents: Document[] = [];
    for (const name of names) documents.push(isOfNode(name) ? await loadFromNode(client, name) : loadGoodFile(name));
    return documents;
  } finally {
    await client.close();
  }
}

async function loadFromNode(client: AdminClient, name: string): Promise<Document> {
  const number = VERSION.exec(name)?.[1];
  if (number !== undefined) return parsed(await versionSources(client, number), name);
  const { document } = await client.get<PolicyAnswer>('/api/v1/policy');
  const { versions } = await client.get<{ versions: readonly { version: number }[] }>('/api/v1/versions');
  const newest = versions[0] === undefined ? null : parseDocument(await versionSources(client, String(versions[0].version), IN_FORCE));
  // Its text tells where rules stand. The text of a file with variables means something else here than where the node was started.
  if (newest?.ok && sameData(newest.document.source, document)) return newest.document;
  return parsed([{ file: IN_FORCE, text: JSON.stringify(document, null, 2) }], name);
}

async function versionSources(client: AdminClient, number: string, label = `version-${number}`): Promise<Source[]> {
  const { value, status } = await client.ask<{ sources: readonly Source[] }>('GET', `/api/v1/versions/${number}`, {}, [200, 404]);
  if (status === 404)
    throw new CommandError(`${client.where} has no version ${number} (any more): bulkhead versions lists those that it has`);
  return value.sources.map(({ file, text }) => ({ file: `${label}/${file.replace(/^.*\//, '')}`, text }));
}

function parsed(sources: readonly Source[], name: string): Document {
  if (name !== IN_FORCE && sources.some(({ text }) => /\$\{[A-Za-z_]/.test(text)))
    process.stderr.write(`warning: ${name} uses variables; they are filled in from the environment of this command, not of the node\n`);
  const loaded = parseDocument(sources);
  if (loaded.ok) return loaded.document;
  const first = loaded.problems.find(({ severity }) => severity === 'error')!;
  throw new CommandError(`${name} cannot be read here: ${formatProblem(first)}`, EXIT.wrong);
}

function sameData(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
