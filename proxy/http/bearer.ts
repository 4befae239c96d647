/**
 * Who sends the requests of a connection, by the tokens that they bring (RFC 6750). Clients bring the same token with one request after
 * the other, so that nearly all of them cost a comparison of bytes.
 */
import type { TokenIssuer } from '../../config/jwt.ts';
import type { Checked, TokenChecker, TokenFault } from '../identity/token.ts';
import type { Context } from '../worker/context.ts';
import type { Judgement } from './judgement.ts';
import type { RequestHead } from './request-head.ts';
import { fieldLines } from './sent-fields.ts';

const NOBODY: readonly string[] = [];

/** Where keys change while a token is checked it is checked again; so often, and what came out then counts. */
const CHECKS_MAX = 3;

/** The connection whose request waits for its token. */
export interface WaitingRequest {
  tokenChecked(): void;
}

export class Bearer {
  identities: readonly string[] = NOBODY;
  /** What is wrong with the token of the last request; null for none, and where there was none. */
  fault: TokenFault | null = null;
  /** A request is held for its token to be checked. */
  isChecking = false;
  private readonly context: Context;
  /** What the last token came in, and until when what it came to holds. */
  private line: Buffer | null = null;
  private until = 0;
  private checker: TokenChecker | null = null;
  private round = 0;
  /** Checks for the request that is held, and what the last one came to. */
  private checks = 0;
  private checked: Checked | null = null;
  private checkedBy: TokenChecker | null = null;

  constructor(context: Context) {
    this.context = context;
  }

  /** hot: learns who sends a request whose head was just scanned. False where that has to be waited for; `waiting` is told when it is over. */
  identify(bytes: Buffer, head: RequestHead, judgement: Judgement, waiting: WaitingRequest): boolean {
    const checker = judgement.checker!;
    const now = this.context.clock.epoch + this.context.clock.coarse;
    const holds = this.checker === checker && this.round === checker.round && now < this.until;
    if (holds && checker.readsAuthorization && this.isAsBefore(bytes, head)) return true;
    const line = find(bytes, head, checker.issuers);
    if (line === null) return this.take(null, judgement, NOBODY, null, Number.POSITIVE_INFINITY);
    // Holds for no further request: nothing is kept of it by which the next could be told from it.
    if (line === 'several') return this.take(null, judgement, NOBODY, line, 0);
    if (this.line !== null && holds && line.equals(this.line)) return true;
    const token = tokenOf(line.toString('latin1'));
    const known = checker.known(token, now);
    if (known !== null) return this.take(Buffer.from(line), judgement, known.identities, known.fault, known.until);
    const last = this.checks >= CHECKS_MAX && this.checkedBy === checker ? this.checked : null;
    // For this request, and for none after it.
    if (last !== null) return this.take(Buffer.from(line), judgement, last.identities, last.fault, now);
    this.isChecking = true;
    this.checks = this.checkedBy === checker ? this.checks + 1 : 1;
    this.checkedBy = checker;
    void checker.check(token, now).then((checked) => {
      this.isChecking = false;
      this.checked = checked;
      waiting.tokenChecked();
    });
    return false;
  }

  /** hot: whether the one Authorization field says what it said before. */
  private isAsBefore(bytes: Buffer, { fields }: RequestHead): boolean {
    const { line } = this;
    if (line === null) return fields.authorizationCount === 0;
    const { authorizationStart: start, authorizationEnd: end } = fields;
    return fields.authorizationCount === 1 && line.length === end - start && bytes.compare(line, 0, line.length, start, end) === 0;
  }

  /** Tokens are not taken: whoever showed one is nobody now, and what was wrong with it is of no account. */
  forget(): void {
    if (this.checker === null) return;
    this.checker = null;
    this.line = null;
    this.identities = NOBODY;
    this.fault = null;
  }

  private take(line: Buffer | null, judgement: Judgement, identities: readonly string[], fault: TokenFault | null, until: number): true {
    const isSame = identities === this.identities;
    this.checks = 0;
    this.checked = null;
    this.line = line;
    this.checker = judgement.checker;
    this.round = judgement.checker?.round ?? 0;
    this.identities = identities;
    this.fault = fault;
    this.until = until;
    if (!isSame) judgement.identify(identities);
    return true;
  }
}

/**
 * The bytes of the field or cookie that tokens of an issuer come in. `several` where it comes more than once and says not the same each time: a
 * server may take any of them for the one that was checked.
 */
function find(bytes: Buffer, head: RequestHead, issuers: readonly TokenIssuer[]): Buffer | 'several' | null {
  for (const { carrier } of issuers) {
    const isCookie = carrier.kind === 'cookie';
    let found: Buffer | null = null;
    for (const [start, end] of fieldLines(bytes, head.fieldsStart, isCookie ? 'cookie' : carrier.name))
      for (const one of isCookie ? cookies(bytes, start, end, carrier.name) : [bytes.subarray(start, end)]) {
        if (found !== null && !found.equals(one)) return 'several';
        found = one;
      }
    if (found !== null) return found;
  }
  return null;
}

/** Without the scheme that an Authorization field names (RFC 6750 §2.1). */
function tokenOf(line: string): string {
  return /^bearer +/i.test(line) ? line.slice(7).trimStart() : line;
}

/** The values of a cookie (RFC 6265 §5.4) in a line of cookies. */
function cookies(bytes: Buffer, start: number, end: number, name: string): Buffer[] {
  const values: Buffer[] = [];
  for (const pair of bytes.toString('latin1', start, end).split(';')) {
    const equals = pair.indexOf('=');
    if (equals >= 0 && pair.slice(0, equals).trim() === name) values.push(Buffer.from(pair.slice(equals + 1).trim(), 'latin1'));
  }
  return values;
}
