/** What a route answers, before it is put on a socket. */
import type { ErrorAnswer } from './schemas.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n`, headers };
}

export function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/** An error as every path answers it: one sentence that says what to do, and a stable code. */
export function failure(
  status: number,
  code: string,
  error: string,
  more: Partial<ErrorAnswer> = {},
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return json(status, { error, code, ...more } satisfies ErrorAnswer, headers);
}
