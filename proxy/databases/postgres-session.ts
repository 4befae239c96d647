/** A client of PostgreSQL that is judged by its user and database before any server is dialled. */
import type { RequestFacts } from '../../policy/request.ts';
import { type CancelTarget, findKey, forgetKey, keyText, rememberKey } from './cancel-keys.ts';
import type { Handover } from './judged-flow.ts';
import { BackendKeyWatch, errorResponse, NO_ENCRYPTION, readOpening } from './postgres.ts';
import { DatabaseSession } from './session.ts';

/** It may ask for one encryption after the other, of which there are two. */
const REFUSALS_MAX = 2;

const UNTOLD: RequestFacts = { kind: 'postgres', user: null, database: null };

export class PostgresSession extends DatabaseSession {
  private refusals = 0;
  /** Watches for the key of the session, until that is there. */
  private watch: BackendKeyWatch | null = null;
  private key: string | null = null;
  /** It is a CancelRequest, of this session. */
  private cancels: CancelTarget | null = null;

  constructor(from: Handover) {
    super(from);
    this.held.append(from.first, 0, from.first.length);
    this.listen();
  }

  words(receipt: string): Buffer {
    return errorResponse('28000', `denied by policy, receipt ${receipt}`);
  }

  protected heard(bytes: Buffer, length: number): void {
    this.held.append(bytes, 0, length);
    this.listen();
  }

  /** Reads what is held for as long as it is requests for encryption, up to the startup that tells who the client is. */
  private listen(): void {
    const { client, held } = this;
    for (;;) {
      const opening = readOpening(held.bytes, held.length);
      switch (opening.kind) {
        case 'more':
          client.resume();
          return;
        case 'ssl-request':
        case 'gss-request': {
          // What came behind it without waiting for the answer was to be read encrypted, or by nobody (CVE-2021-23214).
          if (++this.refusals > REFUSALS_MAX || held.length > opening.end) {
            this.finish('client', 'malformed startup', true);
            return;
          }
          held.drop();
          client.writeBytes(NO_ENCRYPTION);
          client.resume();
          return;
        }
        case 'startup': {
          client.pause();
          const { user, database } = opening;
          this.settle({ kind: 'postgres', user, database });
          return;
        }
        case 'cancel': {
          client.pause();
          this.cancel(keyText(opening.process, opening.secret));
          return;
        }
        default:
          if (opening.kind === 'fault' && opening.fault === 'too long') this.countTooLong();
          // Encrypted, or wrong: nobody that could be told.
          client.pause();
          this.settle(UNTOLD);
          return;
      }
    }
  }

  /** Goes to the server whose session it speaks of, judged as that session's user. Of any other a server would say nothing, either. */
  private cancel(key: string): void {
    const target = findKey(key, this.application.name);
    if (target === null) {
      this.finish('client', 'cancels no session that is known', false);
      return;
    }
    this.cancels = target;
    this.settle({ kind: 'postgres', user: target.user, database: target.database });
  }

  protected override pickServer(): boolean {
    if (this.cancels === null) return super.pickServer();
    const { server } = this.cancels;
    // Its own route may lead elsewhere than that of the session: where shares are split, or since nothing was said in TLS.
    const pool = this.context.policy.pools.find(({ candidates }) => candidates.some(({ label }) => label === server));
    if (pool !== undefined) this.pool = pool;
    return this.lease.pickNamed(server) !== null;
  }

  protected carried(): void {
    if (this.cancels === null) this.watch = new BackendKeyWatch();
    const startup = this.held.take();
    if (startup !== null) this.server!.writeChunk(startup);
  }

  protected override fromServer(bytes: Buffer, length: number): void {
    if (this.watch !== null) this.look(this.watch, bytes, length);
    super.fromServer(bytes, length);
  }

  private look(watch: BackendKeyWatch, bytes: Buffer, length: number): void {
    watch.feed(bytes, length);
    if (!watch.over) return;
    this.watch = null;
    const { flow, request } = this;
    if (watch.key === null || request?.kind !== 'postgres' || request.user === null) return;
    this.key = keyText(watch.key.process, watch.key.secret);
    rememberKey(this.key, { application: this.application.name, server: flow.server!, user: request.user, database: request.database });
  }

  protected override finish(...[by, reason, reset, way]: Parameters<DatabaseSession['finish']>): void {
    if (this.key !== null) forgetKey(this.key);
    this.key = null;
    super.finish(by, reason, reset, way);
  }
}
