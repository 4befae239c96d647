/**
 * A VIP that is bound ahead of the policy that has it: whether it can be had is known before anything changes. Clients that come meanwhile wait,
 * and are accepted when the policy is in force.
 */
import type { Endpoint } from '../../config/document.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { type Accepting, adopt, type Listener, listen } from '../wire/listen.ts';
import type { StreamHandle } from '../wire/native.ts';
import type { Inherited } from './inherited.ts';

/** As many as wait in the kernel's own queue of a listener; the time is that of one message to every worker and back. */
export const WAITING_MAX = 4_096;

export class Opening implements Accepting {
  readonly endpoint: Endpoint;
  private readonly trouble: (errno: number) => void;
  private listeners: readonly Listener[] = [];
  private isShared = false;
  private waiting: StreamHandle[] = [];

  constructor(endpoint: Endpoint, trouble: (errno: number) => void) {
    this.endpoint = endpoint;
    this.trouble = trouble;
  }

  /** Binds and listens, or takes what was bound elsewhere; answers the name of the error, or null. */
  open(inherited: Inherited | null): string | null {
    this.isShared = inherited?.isShared ?? false;
    const results =
      inherited === null || inherited.sockets.length === 0
        ? [listen(this.endpoint, this.endpoint.kind === 'tcp', this)]
        : inherited.sockets.map((socket) => adopt(socket, this.endpoint, this));
    this.listeners = results.flatMap((result) => (result.ok ? [result.listener] : []));
    const failed = results.find((result) => !result.ok);
    if (failed === undefined || failed.ok) return null;
    this.close();
    return failed.code;
  }

  /** The policy is in force: who waits is accepted. The listeners are the acceptor's from here on. */
  handTo(acceptor: Accepting & { take(listeners: readonly Listener[], isShared: boolean): void }): void {
    acceptor.take(this.listeners, this.isShared);
    this.listeners = [];
    for (const handle of this.waiting.splice(0)) acceptor.accept(handle);
  }

  /** The policy does not come into force. */
  close(): void {
    for (const listener of this.listeners) listener.close(this.isShared);
    this.listeners = [];
    for (const handle of this.waiting.splice(0)) refuse(handle);
  }

  accept(handle: StreamHandle): void {
    if (this.waiting.length < WAITING_MAX) this.waiting.push(handle);
    else {
      hitNodeLimit('swap-waiting');
      refuse(handle);
    }
  }

  acceptFailed(errno: number): void {
    this.trouble(errno);
  }
}

function refuse(handle: StreamHandle): void {
  if (handle.reset === undefined || handle.reset() !== 0) handle.close();
}
