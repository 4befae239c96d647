/** Listening sockets that a worker has from elsewhere, and that it lends to elsewhere: both by way of the main thread's desk. */
import type { Desk, Plan } from '../node/plan.ts';
import type { SocketHandle } from '../wire/native.ts';
import { openPassage } from '../wire/passage.ts';

/** What a worker was given for a VIP. */
export interface Inherited {
  /** Others go on with these sockets: the threads beside us, a service manager. */
  readonly isShared: boolean;
  /** May be empty, where there were fewer sockets than there are workers. */
  readonly sockets: readonly SocketHandle[];
}

/** Fetches what the main thread has for the VIPs that this worker is about to open. Without an answer a worker binds by itself. */
export async function fetchInherited(
  plan: Plan,
  worker: number,
  opens: (vip: Plan['vips'][number], isShared: boolean) => boolean,
): Promise<ReadonlyMap<string, Inherited>> {
  const inherited = new Map<string, Inherited>();
  const { inheritance } = plan;
  if (inheritance === undefined) return inherited;
  const wanted = inheritance.vips.filter(({ text, isShared }) =>
    plan.vips.some((vip) => vip.endpoint.text === text && opens(vip, isShared)),
  );
  if (wanted.length === 0) return inherited;
  const passage = await openPassage(inheritance.desk.path);
  if (passage === null) return inherited;
  for (const { text, isShared } of wanted) {
    const sockets: SocketHandle[] = [];
    await passage.send({ type: 'fetch', token: inheritance.desk.token, worker, vip: text });
    for (let parcel = await passage.next(); parcel?.socket != null; parcel = await passage.next()) sockets.push(parcel.socket);
    inherited.set(text, { isShared, sockets });
  }
  passage.close();
  return inherited;
}

interface Lender {
  readonly endpoint: { readonly text: string };
  readonly sockets: readonly SocketHandle[];
}

/** Brings the sockets of this worker to the desk, and goes on accepting from them. */
export async function lendSockets(desk: Desk, lenders: Iterable<Lender>): Promise<void> {
  const all = [...lenders].flatMap(({ endpoint, sockets }) => sockets.map((socket) => ({ vip: endpoint.text, socket })));
  const passage = await openPassage(desk.path);
  if (passage === null) return;
  await passage.send({ type: 'lend', token: desk.token, count: all.length });
  for (const { vip, socket } of all) await passage.send({ type: 'socket', vip }, socket);
  // The other side closes once it has them all.
  await passage.next();
  passage.close();
}
