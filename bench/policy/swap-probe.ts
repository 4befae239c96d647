/**
 * Loaded into every thread of a process (`node --import`): tells how long a worker was held up by itself. Between two ticks of a timer its
 * thread may wait for the machine, which says nothing of it, so what counts is the time that it computed.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

export const PROBE_CHANNEL = 'bulkhead-swap-probe';

/** What the threads are told and what they answer. */
export type ProbeMessage = { readonly type: 'begin' } | { readonly type: 'end' } | { readonly type: 'longest'; readonly ms: number };

if (!isMainThread) {
  const channel = new BroadcastChannel(PROBE_CHANNEL);
  let longest = 0;
  let last = process.threadCpuUsage();
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1_000);
    last = process.threadCpuUsage();
  }, 1).unref();
  channel.onmessage = (event) => {
    const { type } = (event as { data: ProbeMessage }).data;
    if (type === 'begin') {
      longest = 0;
      last = process.threadCpuUsage();
    }
    if (type === 'end') channel.postMessage({ type: 'longest', ms: longest } satisfies ProbeMessage);
  };
  channel.unref();
}
