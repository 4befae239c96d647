/** Asks a running node, over the network or its unix socket. Whatever goes wrong ends the command with one line. */
import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher, request } from 'undici';
import { CommandError, EXIT } from './exit.ts';

/** An apply waits for every worker; the node itself gives up after 30 s. */
const ANSWER_TIMEOUT_MS = 40_000;
const CONNECT_TIMEOUT_MS = 5_000;

export const ADMIN_DEFAULT = 'http://127.0.0.1:9900';

/** What every command that asks a node takes. */
export interface AdminWords {
  readonly admin?: string;
  readonly tokenFile?: string;
  readonly json?: true;
}

export interface AdminAnswer<T> {
  readonly status: number;
  readonly value: T;
}

interface Question {
  readonly query?: Readonly<Record<string, string | undefined>> | undefined;
  readonly body?: string;
  readonly type?: string;
}

/** What the node says when it does not do what was asked. */
interface Refusal {
  readonly error?: string;
  readonly code?: string;
  readonly problems?: readonly { code: string; severity: string; at: string | null; message: string; suggestion?: string }[];
}

export class AdminClient {
  readonly where: string;
  readonly #base: URL;
  readonly #agent: Agent;
  readonly #token: string | null;

  constructor(words: AdminWords) {
    this.where = words.admin ?? process.env.BULKHEAD_ADMIN ?? ADMIN_DEFAULT;
    const socketPath = this.where.startsWith('unix:') ? this.where.slice('unix:'.length) : null;
    this.#base = baseOf(socketPath === null ? this.where : 'http://localhost', this.where);
    this.#token = tokenOf(words.tokenFile);
    this.#agent = new Agent({
      allowH2: false,
      connect: { timeout: CONNECT_TIMEOUT_MS, ...(socketPath === null ? {} : { socketPath }) },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    });
  }

  /** The answer, which is one of `expected` (200 where none is said); any other ends the command with what the node says. */
  async ask<T>(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    question: Question = {},
    expected: readonly number[] = [200],
  ): Promise<AdminAnswer<T>> {
    const { statusCode, body } = await this.#send(method, path, question);
    const text = await body.text();
    const value = parseJson(text);
    if (value === undefined)
      throw new CommandError(`${this.where}${path} answered ${statusCode} without JSON: is it the admin endpoint of a bulkhead node?`);
    if (expected.includes(statusCode)) return { status: statusCode, value: value as T };
    throw refused(statusCode, value as Refusal, this.#token !== null);
  }

  async get<T>(path: string, query: Question['query'] = {}): Promise<T> {
    return (await this.ask<T>('GET', path, { query })).value;
  }

  /** Events as they come, until the node ends them or the caller stops. */
  async *events(query: Question['query']): AsyncGenerator<{ event: string; data: string }> {
    const { statusCode, body } = await this.#send('GET', '/api/v1/events', { query }, { bodyTimeout: 0 });
    if (statusCode !== 200) throw refused(statusCode, (parseJson(await body.text()) ?? {}) as Refusal, this.#token !== null);
    let rest = '';
    body.setEncoding('utf8');
    for await (const chunk of body) {
      rest += chunk as string;
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const event = /^event: (.*)$/m.exec(block)?.[1];
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (event !== undefined && data !== undefined) yield { event, data };
      }
    }
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #send(
    method: Dispatcher.HttpMethod,
    path: string,
    question: Question,
    more: { bodyTimeout?: number } = {},
  ): Promise<Dispatcher.ResponseData> {
    const url = new URL(path.slice(1), this.#base);
    for (const [name, value] of Object.entries(question.query ?? {})) if (value !== undefined) url.searchParams.set(name, value);
    const headers = {
      accept: 'application/json',
      ...(question.type === undefined ? {} : { 'content-type': question.type }),
      ...(this.#token === null ? {} : { authorization: `Bearer ${this.#token}` }),
    };
    try {
      return await request(url, { dispatcher: this.#agent, method, headers, body: question.body ?? null, ...more });
    } catch (error) {
      const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
      const message = `no answer from ${this.where} (${reason}): is the node running, and is that its process.admin.listen? Say where with --admin`;
      throw new CommandError(message, EXIT.wrong, { cause: error });
    }
  }
}

/** Runs with a client, and lets go of its connections whatever happens. */
export async function withAdmin(words: AdminWords, run: (client: AdminClient) => Promise<number>): Promise<number> {
  const client = new AdminClient(words);
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

function refused(status: number, { error, code, problems }: Refusal, withToken: boolean): CommandError {
  const said = error ?? `the node answered ${status}`;
  const lines = (problems ?? []).map((problem) => {
    const near = problem.suggestion === undefined ? '' : `; did you mean ${JSON.stringify(problem.suggestion)}?`;
    return `${problem.at === null ? '' : `${problem.at}: `}${problem.severity}[${problem.code}]: ${problem.message}${near}`;
  });
  const hint = (status === 401 || code === 'no-token') && !withToken ? ' Give the token with --token-file, or in BULKHEAD_TOKEN.' : '';
  return new CommandError(lines.length > 0 ? lines.join('\nbulkhead: ') : `${said}${hint}`, EXIT.no);
}

function baseOf(text: string, said: string): URL {
  const base = URL.parse(text.endsWith('/') ? text : `${text}/`);
  if (base === null || (base.protocol !== 'http:' && base.protocol !== 'https:'))
    throw new CommandError(`--admin ${JSON.stringify(said)} is not an http address: write ${ADMIN_DEFAULT} or unix:/run/bulkhead.sock`);
  return base;
}

function tokenOf(file: string | undefined): string | null {
  if (file === undefined) return process.env.BULKHEAD_TOKEN?.trim() || null;
  try {
    const token = readFileSync(file, 'utf8').trim();
    if (token !== '') return token;
  } catch (error) {
    throw new CommandError(`--token-file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, EXIT.wrong, { cause: error });
  }
  throw new CommandError(`--token-file ${file} is empty: it holds the token that bulkhead token has printed`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
