/**
 * Which session of which server a CancelRequest speaks of. It comes on a connection of its own, by whatever worker, and carries nothing but the key that
 * the server gave to the session; so workers tell each other of the keys of their sessions. A key that nobody has seen leads nowhere.
 */
import { BroadcastChannel } from 'node:worker_threads';
import { hitNodeLimit } from '../shared/node-limits.ts';

/** Sessions of which a worker remembers the key: all workers' together. Beyond, the oldest cannot be cancelled any more. */
export const CANCEL_KEYS_MAX = 16_384;

export interface CancelTarget {
  readonly application: string;
  /** `pool/address`. */
  readonly server: string;
  readonly user: string;
  readonly database: string | null;
}

type Message = { readonly key: string; readonly target: CancelTarget | null };

const targets = new Map<string, CancelTarget>();
/** Open in every worker from its start on, or it would miss the keys of others. It keeps no thread alive. */
const channel = new BroadcastChannel('bulkhead-cancel-keys');
channel.onmessage = (event) => note((event as { data: Message }).data);
channel.unref();

function note({ key, target }: Message): void {
  targets.delete(key);
  if (target === null) return;
  if (targets.size >= CANCEL_KEYS_MAX) {
    targets.delete(targets.keys().next().value!);
    hitNodeLimit('cancel-keys');
  }
  targets.set(key, target);
}

function tell(message: Message): void {
  note(message);
  channel.postMessage(message);
}

/** The key as text: the process, and all of the secret. */
export function keyText(process: number, secret: Buffer): string {
  return `${process}:${secret.toString('latin1')}`;
}

export function rememberKey(key: string, target: CancelTarget): void {
  tell({ key, target });
}

export function forgetKey(key: string): void {
  tell({ key, target: null });
}

export function findKey(key: string, application: string): CancelTarget | null {
  const target = targets.get(key);
  return target === undefined || target.application !== application ? null : target;
}
