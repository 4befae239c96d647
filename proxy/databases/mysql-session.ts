/**
 * A client of MySQL that is judged by its user and schema. The server speaks first, so it is dialled on what the connection alone allows; its greeting
 * goes to the client without what would hide the rest, and nothing of the client goes to it before the verdict.
 */
import { ALLOW, kindOf, ruleOf } from '../../policy/decide.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { Held } from '../wire/held.ts';
import type { Handover } from './judged-flow.ts';
import {
  errPacket,
  HANDSHAKE_BYTES_MAX,
  HIDING,
  type MysqlErrorCode,
  mayChange,
  openGreeting,
  readChange,
  readGreeting,
  readLogin,
} from './mysql.ts';
import { DatabaseSession } from './session.ts';

const UNTOLD: RequestFacts = { kind: 'mysql', user: null, schema: null };
const HEAD_BYTES = 4;

export class MysqlSession extends DatabaseSession {
  private readonly greeting = new Held();
  private greetingSent = false;
  private user: string | null = null;
  private offered = 0;
  private capabilities = 0;
  /** Of the client's last packet in the handshake. */
  private sequence = 0;
  private loginEnd = 0;
  /** Bytes of a packet that goes on unread. */
  private left = 0;

  constructor(from: Handover) {
    super(from);
    this.greeting.append(from.first, 0, from.first.length);
    this.greet();
  }

  words(receipt: string): Buffer {
    return errPacket(this.greetingSent ? this.sequence + 1 : 0, this.greetingSent ? 1_045 : 1_130, `denied by policy, receipt ${receipt}`);
  }

  protected override greeted(bytes: Buffer, length: number): void {
    if (this.greetingSent) {
      this.finish('server', 'spoke before its time', true);
      return;
    }
    this.greeting.append(bytes, 0, length);
    this.greet();
  }

  private greet(): void {
    const { client, greeting, server } = this;
    const reading = readGreeting(greeting.bytes, greeting.length);
    switch (reading.kind) {
      case 'more':
        server!.resume();
        return;
      case 'greeting':
        server!.pause();
        client.writeBytes(openGreeting(greeting.bytes, reading));
        this.offered = reading.capabilities;
        greeting.drop();
        this.greetingSent = true;
        client.resume();
        return;
      case 'refusal':
        client.writeBytes(Buffer.from(greeting.bytes.subarray(0, reading.end)));
        greeting.drop();
        this.finish('server', 'turned the proxy away', false);
        return;
      case 'fault':
        greeting.drop();
        this.finish('server', `greeting: ${reading.fault}`, true);
        return;
      default:
        reading satisfies never;
    }
  }

  protected heard(bytes: Buffer, length: number): void {
    const { client, held } = this;
    held.append(bytes, 0, length);
    if (!this.greetingSent) {
      this.finish('client', 'spoke before the server', true);
      return;
    }
    const login = readLogin(held.bytes, held.length, this.offered);
    if (login.kind === 'more') {
      client.resume();
      return;
    }
    client.pause();
    this.sequence = held.bytes[3]!;
    if (login.kind !== 'login' || (login.capabilities & HIDING) !== 0) {
      if (login.kind === 'fault' && login.fault === 'too long') this.countTooLong();
      this.loginEnd = held.length;
      // Wrong, or hidden although that was not offered: nobody that could be told.
      // Where it is let through all the same, nothing of it can be read.
      this.left = Number.POSITIVE_INFINITY;
      this.settle(UNTOLD);
      return;
    }
    this.user = login.user;
    this.loginEnd = login.end;
    this.capabilities = login.capabilities;
    this.settle({ kind: 'mysql', user: login.user, schema: login.schema.toLowerCase() });
  }

  protected carried(): void {
    const { held } = this;
    const { loginEnd } = this;
    // What came behind the login without waiting is judged as what comes later.
    const behind = Buffer.from(held.bytes.subarray(loginEnd, held.length));
    this.server!.writeBytes(held.bytes.subarray(0, loginEnd));
    held.drop();
    if (behind.length > 0) this.fromClient(behind, behind.length);
  }

  protected override fromClient(bytes: Buffer, length: number): void {
    const { held } = this;
    if (held.empty && this.left >= length) {
      this.left -= length;
      super.fromClient(bytes, length);
      return;
    }
    if (!held.empty) held.append(bytes, 0, length);
    const all = held.empty ? bytes : held.bytes;
    const end = held.empty ? length : held.length;
    let at = 0;
    let run = 0;
    const send = (until: number) => {
      if (until > run) super.fromClient(all.subarray(run, until), until - run);
      run = until;
    };
    while (at < end && !this.over) {
      if (this.left > 0) {
        const step = Math.min(this.left, end - at);
        this.left -= step;
        at += step;
        continue;
      }
      const size = end - at < HEAD_BYTES ? -1 : all.readUIntLE(at, 3);
      const command = size <= 0 || all[at + 3] !== 0 ? -1 : (all[at + HEAD_BYTES] ?? -2);
      if (size < 0 || command === -2) break;
      if (!mayChange(command)) {
        this.left = HEAD_BYTES + size;
        continue;
      }
      if (size > HANDSHAKE_BYTES_MAX) {
        this.countTooLong();
        this.finish('client', 'command too long to be judged', true);
        return;
      }
      if (end - at < HEAD_BYTES + size) break;
      send(at);
      const next = at + HEAD_BYTES + size;
      if (!this.mayGoOn(Buffer.from(all.subarray(at + HEAD_BYTES, next)))) run = next;
      at = next;
    }
    if (this.over) return;
    send(at);
    held.keep(all, at, end);
  }

  /** A command that changes user or schema: goes to the server where the policy allows what it changes to, and is answered here where it does not. */
  private mayGoOn(body: Buffer): boolean {
    const change = readChange(body, this.capabilities);
    if (change === null) return true;
    if (change === 'malformed') {
      this.finish('client', 'malformed command', true);
      return false;
    }
    const user = change.user ?? this.user;
    const request: RequestFacts = { kind: 'mysql', user, schema: change.schema.toLowerCase() };
    const code: MysqlErrorCode = change.user === null ? 1_044 : 1_045;
    const decision = this.judge(request);
    const receipt = this.refuse(decision, request, change.user === null ? 'another schema' : 'another user');
    if (receipt === null) {
      this.user = user;
      if (kindOf(decision) === ALLOW) this.request = request;
      return true;
    }
    const way = this.context.policy.image.ruleDenyWith(ruleOf(decision)) ?? 'reply';
    if (way === 'reply') this.say(errPacket(1, code, `denied by policy, receipt ${receipt}`));
    else this.finish('policy', 'denied', true, way);
    return false;
  }
}
