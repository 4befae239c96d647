/**
 * A connection to Redis, of which every command is judged: what is allowed goes on in order, what is denied is answered in its place among the replies.
 * No server is dialled before the first command that may go to one.
 */
import { ALLOW, kindOf, ruleOf } from '../../policy/decide.ts';
import type { RedisFacts } from '../../policy/request.ts';
import * as ledger from '../shared/ledger.ts';
import type { Wire } from '../wire/wire.ts';
import type { Handover } from './judged-flow.ts';
import { COMMAND_BYTES_MAX, errorReply, type RedisFault, RedisReader, writeCommand } from './redis.ts';
import { ExpectedReplies } from './redis-expected.ts';
import type { RedisCommand } from './redis-keys.ts';
import { RedisReplies } from './redis-replies.ts';
import { DatabaseSession } from './session.ts';

/** Answers of our own that wait for their turn; with more of them the client is not read on. */
const WAITING_MAX = 1_024;
const WHAT_CHARACTERS_MAX = 64;
/** From the answer of these on, what the server sends is no longer one reply a command, or no reply at all. */
const REPLICATION: ReadonlySet<string> = new Set(['sync', 'psync']);
const UNCOUNTED: ReadonlySet<string> = new Set([
  'subscribe',
  'psubscribe',
  'ssubscribe',
  'unsubscribe',
  'punsubscribe',
  'sunsubscribe',
  'monitor',
  'client|reply',
  'script|debug',
]);

const JUDGING = 0;
const PASSING = 1;
const DROPPING = 2;

export class RedisSession extends DatabaseSession {
  private readonly reader = new RedisReader();
  private readonly replies = new RedisReplies();
  private readonly expected = new ExpectedReplies();
  private mode: number = JUDGING;
  /** null: not to be told any more. */
  private user: string | null = 'default';
  /** A login is under way: who the next commands belong to depends on its answer. */
  private loggingIn = false;
  /** Within a transaction, and one of its commands was denied: then none of it is to happen. */
  private inTransaction = false;
  private spoilt: string | null = null;
  private isReplica = false;
  private counted = true;
  private pumping = false;
  /** From the first command that may go to a server until that is there. */
  private isDialling = false;

  constructor(from: Handover) {
    super(from);
    this.heard(from.first, from.first.length);
  }

  words(receipt: string): Buffer {
    return errorReply('NOPERM', `denied by policy, receipt ${receipt}`);
  }

  protected heard(bytes: Buffer, length: number): void {
    this.held.append(bytes, 0, length);
    this.context.wheel.arm(this, this.context.clock.coarse + this.application.timeouts.idle);
    this.pump(this.held.bytes, this.held.length);
  }

  protected override fromClient(bytes: Buffer, length: number): void {
    if (this.held.empty) this.pump(bytes, length);
    else {
      this.held.append(bytes, 0, length);
      this.pump(this.held.bytes, this.held.length);
    }
  }

  protected carried(): void {
    this.isDialling = false;
    this.pump(this.held.bytes, this.held.length);
  }

  protected override readClient(): void {
    // Also while it has to wait, up to a bound: that it leaves is only seen by reading.
    if (this.client.pending > 0 || (this.waits && this.held.length >= COMMAND_BYTES_MAX)) this.client.pause();
    else if (!this.isDialling && (this.server?.pending ?? 0) === 0) this.client.resume();
  }

  override wireDrained(wire: Wire): void {
    super.wireDrained(wire);
    this.resumeWaiting();
  }

  override wireEnd(wire: Wire): void {
    if (wire !== this.client || !this.holdsBack) super.wireEnd(wire);
    // Told to the server behind the last command; which is not waited for any longer than halves of flows are.
    else this.relay?.swapped(false);
  }

  protected override get holdsBack(): boolean {
    return this.waits && !this.held.empty;
  }

  private get waits(): boolean {
    return this.loggingIn || this.expected.specials >= WAITING_MAX || this.client.pending > 0;
  }

  /** What waited may go on, as far as nothing makes it wait any longer. */
  private resumeWaiting(): void {
    if (this.over || this.pumping) return;
    if (!this.waits && !this.held.empty && !this.isDialling) this.pump(this.held.bytes, this.held.length);
    if (this.over) return;
    if (this.client.ended && this.relay !== null && !this.holdsBack && !this.server!.shut) super.wireEnd(this.client);
    else this.readClient();
  }

  /** Carries out the commands in the bytes, one after the other; what is not whole, or has to wait, is held. */
  private pump(all: Buffer, end: number): void {
    if (this.pumping) return;
    this.pumping = true;
    const { reader } = this;
    let at = 0;
    let run = 0;
    const send = (until: number) => {
      if (until > run && this.server !== null)
        this.relay!.toServer(run === 0 && until === end ? all : all.subarray(run, until), until - run);
      run = until;
    };
    while (at < end && !this.over) {
      if (this.mode !== JUDGING) {
        const next = reader.pass(all, at, end);
        if (typeof next === 'string') {
          send(at);
          this.broken(next);
          break;
        }
        if (this.mode === DROPPING) run = next;
        const came = next > at;
        at = next;
        if (!this.commandEnded() && !came) break;
        continue;
      }
      if (this.waits) break;
      const reading = reader.look(all, at, end);
      if (reading === 'more') break;
      if (reading === 'nothing') {
        send(at);
        at += reader.at;
        run = at;
        reader.renew();
        continue;
      }
      if (reading !== 'known') {
        send(at);
        this.broken(reading);
        break;
      }
      const forward = this.judgeCommand(reader.command!);
      if (forward === 'wait' || this.over) break;
      if (forward === 'as it is' && reader.rewritten === null) this.mode = PASSING;
      else {
        send(at);
        const instead = forward === 'as it is' ? reader.rewritten : forward === 'not' ? null : forward;
        if (instead !== null) this.relay!.toServer(instead, instead.length);
        this.mode = DROPPING;
        run = at + reader.at;
      }
      at += reader.at;
      this.commandEnded();
    }
    this.pumping = false;
    if (this.over) return;
    send(at);
    this.held.keep(all, at, end);
    this.readClient();
  }

  private commandEnded(): boolean {
    if (!this.reader.passed) return false;
    this.reader.renew();
    this.mode = JUDGING;
    return true;
  }

  /** `wait`: a server is being dialled, and the command comes again with it. A buffer goes to the server in its place. */
  private judgeCommand(command: RedisCommand): 'as it is' | 'not' | 'wait' | Buffer {
    const request: RedisFacts = { kind: 'redis', user: command.login ?? this.user, command: command.name, keys: command.keys };
    const decision = this.judge(request);
    const allowed = kindOf(decision) === ALLOW;
    if (this.relay === null && (allowed || this.application.observes)) {
      // It goes back to where it began, and is judged once more when there is a server.
      this.reader.renew();
      queueMicrotask(() => {
        if (!this.over && !this.flow.live) this.admit(ruleOf(decision), allowed ? ledger.RULE_ALLOW : ledger.RULE_WOULD_DENY);
      });
      this.isDialling = true;
      return 'wait';
    }
    const receipt = this.refuse(decision, request, command.name.slice(0, WHAT_CHARACTERS_MAX));
    if (receipt === null) return this.expect(command);
    if (this.inTransaction) this.spoilt = receipt;
    const way = this.context.policy.image.ruleDenyWith(ruleOf(decision)) ?? 'reply';
    if (way === 'reply') this.answer(this.words(receipt));
    else this.finish('policy', 'denied', true, way);
    return 'not';
  }

  /** The command goes to the server: what will come back for it. */
  private expect({ name, login }: RedisCommand): 'as it is' | Buffer {
    const { expected } = this;
    if (name === 'exec' && this.spoilt !== null) {
      const words = errorReply('EXECABORT', `Transaction discarded because a command of it was denied by policy, receipt ${this.spoilt}`);
      expected.add({ kind: 'instead', words });
      this.endTransaction();
      return writeCommand(['DISCARD']);
    }
    if (name === 'multi') this.inTransaction = true;
    else if (name === 'exec' || name === 'discard' || name === 'reset') this.endTransaction();
    if (UNCOUNTED.has(name)) this.counted = false;
    if (REPLICATION.has(name)) this.isReplica = true;
    const user = name === 'reset' ? 'default' : login;
    if (user !== null && this.counted) {
      expected.add({ kind: 'login', user });
      this.loggingIn = true;
    } else {
      // Which reply is the one to the login nobody can say any more.
      if (user !== null) this.mayBe(user);
      expected.addReply();
    }
    return 'as it is';
  }

  private endTransaction(): void {
    this.inTransaction = false;
    this.spoilt = null;
  }

  /** Words of our own, when it is their turn. */
  private answer(words: Buffer): void {
    this.expected.add({ kind: 'words', words });
    // Where replies are no longer counted, or nothing is expected, it is their turn whenever no reply is under way.
    if (this.isReplica || (!this.counted && this.replies.idle)) this.answerAll();
    else this.answerDue();
  }

  private answerDue(): void {
    for (let words = this.expected.takeWords(); words !== null; words = this.expected.takeWords()) this.say(words);
  }

  private answerAll(): void {
    for (let first = this.expected.take(); first !== undefined; first = this.expected.take())
      if (typeof first === 'object' && first.kind === 'words') this.say(first.words);
  }

  /** A server would say so, and close. */
  private broken(fault: RedisFault): void {
    if (fault === 'too long') this.countTooLong();
    this.answer(errorReply('ERR', 'Protocol error: not understood by the proxy'));
    this.answerAll();
    this.finish('client', `command: ${fault}`, false);
  }

  protected override fromServer(bytes: Buffer, length: number): void {
    if (this.isReplica) {
      super.fromServer(bytes, length);
      return;
    }
    const { expected, replies } = this;
    let start = 0;
    const send = (until: number) => {
      if (until > start && !this.over) this.relay!.toClient(bytes, start, until);
      start = until;
    };
    for (let at = 0; at < length && !this.over; ) {
      const isHidden = isInstead(expected.first);
      const end = replies.next(bytes, at, length);
      at = replies.at;
      if (end === 'fault') {
        this.finish('server', 'answered what is no reply', true);
        return;
      }
      if (end !== 'reply') {
        if (isHidden && end === 'more') start = at;
        continue;
      }
      const was = expected.take();
      if (typeof was === 'object' && was.kind === 'login') this.loggedIn(was.user);
      else if (typeof was === 'object' && was.kind === 'instead') {
        start = at;
        this.say(was.words);
      }
      if (typeof expected.first === 'object') {
        send(at);
        this.answerDue();
      }
    }
    if (this.over) return;
    send(length);
    this.resumeWaiting();
  }

  private loggedIn(user: string): void {
    const isError = this.replies.first === 0x2d || this.replies.first === 0x21;
    // In a transaction it happens, or fails, with the end of that.
    if (this.replies.isQueued) this.mayBe(user);
    else if (!isError) this.user = user;
    this.loggingIn = false;
  }

  /** A login may have happened or not. */
  private mayBe(user: string): void {
    if (this.user !== user) this.user = null;
  }
}

function isInstead(expected: ReturnType<ExpectedReplies['take']>): boolean {
  return typeof expected === 'object' && expected.kind === 'instead';
}
