/** What a node carries and what it carried of late, read for a rehearsal: bounded, and saying where the bound was met. */
import type { NodeView } from '../observe/view.ts';
import type { Observed } from './effect.ts';

/** Ten times what one worker is measured with. */
const LIVE_FLOWS_MAX = 100_000;
const RECENT_FLOWS_MAX = 50_000;
const ANSWERED_LEAST = 0.8;
const FLEETING = 100;
const RECENT_MS = 60 * 60_000;

export async function observe(view: Pick<NodeView, 'liveFlows' | 'recentFlows' | 'counters'>, now: number): Promise<Observed> {
  const active = view.counters().applications.reduce((sum, application) => sum + application.flowsActive, 0);
  const [live, ended] = await Promise.all([view.liveFlows(LIVE_FLOWS_MAX), view.recentFlows(RECENT_FLOWS_MAX, false)]);
  const since = new Date(now - RECENT_MS).toISOString();
  const recent = ended.filter((flow) => flow.time >= since);
  return {
    live,
    // A worker that was too busy to answer leaves its flows out; short ones come and go while they are counted.
    liveTruncated: live.length >= LIVE_FLOWS_MAX || live.length < active * ANSWERED_LEAST - FLEETING,
    recent,
    recentTruncated: ended.length >= RECENT_FLOWS_MAX && recent.length === ended.length,
  };
}
