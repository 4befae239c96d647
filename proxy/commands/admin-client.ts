/** Asks a running node, over the network or its unix socket. Whatever goes wrong ends the command with one line. */
import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher, request } from 'undici';
import { formatView, type ProblemView } from '../versions/orders.ts';
import { CommandError, EXIT } from './exit.ts';

/** An apply waits for every worker; the node itself gives up after 30 s. */
const ANSWER_TIMEOUT_MS = 40_000;
const CONNECT_TIMEOUT_MS = 5_000;

export const ADMIN_DEFAULT = 'http://127.0.0.1:9900';

/** What every command that asks a node takes. */
export interface AdminWords {
  readonly admin?: string;
  readonly tokenFile?: string;
  /** PEM file of the authorities that the node's certificate is held against, instead of those that Node brings. */
  readonly ca?: string;
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
  readonly problems?: readonly ProblemView[];
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
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        ...(socketPath === null ? {} : { socketPath }),
        // Said, because NODE_TLS_REJECT_UNAUTHORIZED would turn it off else, and a token must not go to whoever answers.
        rejectUnauthorized: true,
        ...authoritiesOf(words.ca, this.#base),
      },
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
    try {
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
    } catch (error) {
      // A node that is gone has cut its answer short: for whoever follows that is the end of it. Other errors have no such code.
      if (!/^(?:UND_ERR_|ECONN|EPIPE)/.test(String((error as NodeJS.ErrnoException).code))) throw error;
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
      throw new CommandError(whyNoAnswer(error, this.where), EXIT.wrong, { cause: error });
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
  const lines = (problems ?? []).map(formatView);
  const hint = (status === 401 || code === 'no-token') && !withToken ? ' Give the token with --token-file, or in BULKHEAD_TOKEN.' : '';
  return new CommandError(lines.length > 0 ? lines.join('\nbulkhead: ') : `${said}${hint}`, EXIT.no);
}

/** What stands between this command and the node, and what to do about it. */
function whyNoAnswer(error: unknown, where: string): string {
  const code = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  const host = URL.parse(where)?.hostname ?? where;
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `nobody whom this machine trusts has signed the certificate of ${where} (${code}): give the certificate of its authority with --ca, or in BULKHEAD_CA`;
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return `the certificate of ${where} does not hold today (${code}): put a good one in the place of process.admin.tls.certificate; the node reads it without a restart`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${where} is made out to other names than ${host} (${namesOf(error)}): write one of them in --admin`;
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'EPROTO':
      return `${where} does not speak TLS (${code}): write http:// in --admin, if that is what the node was told to speak`;
    case 'ECONNRESET':
    case 'UND_ERR_SOCKET':
      return `${where} has ended the connection without an answer (${code})${where.startsWith('http:') ? ': where its file has process.admin.tls, write https:// in --admin' : ''}`;
    default:
      return `no answer from ${where} (${code}): is the node running, and is that its process.admin.listen? Say where with --admin`;
  }
}

function namesOf(error: unknown): string {
  return (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname ?? 'to none';
}

function authoritiesOf(words: string | undefined, base: URL): { ca?: string } {
  const file = words ?? (base.protocol === 'https:' ? process.env.BULKHEAD_CA : undefined);
  if (file === undefined || file === '') return {};
  if (base.protocol !== 'https:') throw new CommandError('--ca goes with an https address: write --admin https://…');
  try {
    const ca = readFileSync(file, 'utf8');
    if (ca.includes('-----BEGIN CERTIFICATE-----')) return { ca };
  } catch (error) {
    throw new CommandError(`--ca ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, EXIT.wrong, { cause: error });
  }
  throw new CommandError(`--ca ${file} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----`);
}

function baseOf(text: string, said: string): URL {
  const base = URL.parse(text.endsWith('/') ? text : `${text}/`);
  if (base === null || (base.protocol !== 'http:' && base.protocol !== 'https:'))
    throw new CommandError(
      `--admin ${JSON.stringify(said)} is not an http address: write ${ADMIN_DEFAULT}, https://HOST:PORT or unix:/run/bulkhead.sock`,
    );
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
