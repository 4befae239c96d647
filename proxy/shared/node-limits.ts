/**
 * Hits of the limits that belong to no application: a thread's memory, what waits for the disk, the admin endpoint. Each thread counts in a row
 * of its own. A worker's row lies in shared memory, where the main thread reads it and where it outlives the worker.
 */

/** In the order of their slots. */
export const NODE_LIMITS = [
  /** Connections that move bulk and had to do without a large buffer of their own: 64 MiB a worker. */
  'bulk-memory',
  /** Denied clients that were reset without last words, because 1,024 a worker were being told theirs. */
  'farewells',
  /** Denied clients that sent 64 KiB more after their last words. */
  'farewell-bytes',
  /** Clients that were no longer listened to after an early answer, for having sent 256 KiB more. */
  'linger-bytes',
  /** Flows of rules with `log` that are not in the log: 100 lines a second and worker. The journal has them. */
  'log-lines',
  /** Texts that a journal record holds the first 2,048 bytes of. */
  'journal-text',
  /** Chunks of records that found 8 MiB waiting for the disk already. */
  'journal-queue',
  /** Entries of the audit that were given up, because 1,000 younger ones wait for the disk. */
  'audit-waiting',
  /** Versions that were given up, because 50 younger ones wait for the disk, or 16 MiB of them. */
  'versions-waiting',
  /** Searches of the journal that gave up for this time. */
  'journal-scan',
  /** Segments that went because 4,096 of them are enough, before the journal was full. */
  'journal-segments',
  /** Samples of applications beyond the 256 that have a history. */
  'history-applications',
  /** Looked-up names with more than 64 addresses. */
  'addresses-per-name',
  /** Clients that were reset because 4,096 came to a VIP between its binding and the policy that has it. */
  'swap-waiting',
  /** Addresses of servers by name that are outside networks.outbound, and are not dialled. */
  'server-outside-lane',
  /** Addresses of servers by name for which all 8,192 places of servers were taken. */
  'server-places',
  /** Paths that could be read in more ways than are judged: more than 32 Ki characters of readings. */
  'path-readings',
  /** Sessions of PostgreSQL that cannot be cancelled, because 16,384 younger ones can. */
  'cancel-keys',
  /** Requests that were not copied to a mirror: 1,000 copies were under way in the worker. */
  'mirrored',
  /** The same, since a part of the request was still to come. */
  'mirror-body',
  'admin-connections',
  'admin-head',
  'admin-target',
  'admin-body',
  'admin-time',
  'admin-token-tries',
  'admin-token-addresses',
  'admin-listeners',
  'admin-listener-buffer',
  /** Sessions of HTTP/2 with servers: too many to one server, or one that sent too much that is no answer. */
  'h2-servers',
] as const;
export type NodeLimit = (typeof NODE_LIMITS)[number];

const SLOT = new Map<NodeLimit, number>(NODE_LIMITS.map((limit, i) => [limit, i]));

/** Of this thread: its own memory, until a worker is given its row. */
let row: Float64Array = new Float64Array(NODE_LIMITS.length);

/** Rows for so many workers. */
export function createNodeLimits(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * NODE_LIMITS.length * Float64Array.BYTES_PER_ELEMENT);
}

/** From here on, this thread counts in the row of its worker. */
export function countInRow(buffer: SharedArrayBuffer, worker: number): void {
  row = new Float64Array(buffer, worker * NODE_LIMITS.length * Float64Array.BYTES_PER_ELEMENT, NODE_LIMITS.length);
}

/** hot: one addition. */
export function hitNodeLimit(limit: NodeLimit): void {
  const slot = SLOT.get(limit)!;
  row[slot] = row[slot]! + 1;
}

/** All of them, with the sums over the workers and this thread. */
export function readNodeLimits(buffer: SharedArrayBuffer): { limit: NodeLimit; hits: number }[] {
  const rows = new Float64Array(buffer);
  return NODE_LIMITS.map((limit, slot) => {
    let hits = row[slot]!;
    for (let at = slot; at < rows.length; at += NODE_LIMITS.length) hits += rows[at]!;
    return { limit, hits };
  });
}
