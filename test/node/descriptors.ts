/** The descriptors of this process, for tests that leave none open. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { until } from './harness.ts';

const FOLDER = '/proc/self/fd';
const STATES = ['', 'established', 'syn-sent', 'syn-received', 'fin-wait-1', 'fin-wait-2', 'time-wait', 'closed', 'close-wait', 'last-ack'];

/** How many are open; the one that the folder is read by among them. */
export function descriptorCount(): number {
  return readdirSync(FOLDER).length;
}

/** Waits until no more than this many are open, and says which are where there are. */
export async function untilDescriptors(atMost: number): Promise<void> {
  const before = new Set(readdirSync(FOLDER));
  try {
    await until(() => descriptorCount() <= atMost);
  } catch {
    const open = readdirSync(FOLDER);
    const lines = open.map((number) => `${number}${before.has(number) ? '' : ' (new)'} ${targetOf(number)}`);
    throw new Error(`${open.length} descriptors are open where ${atMost} were to be left:\n${lines.join('\n')}`);
  }
}

function targetOf(number: string): string {
  try {
    const target = readlinkSync(`${FOLDER}/${number}`);
    const inode = /^socket:\[([0-9]+)\]$/.exec(target)?.[1];
    return inode === undefined ? target : (connectionOf(inode) ?? target);
  } catch {
    return 'closed by now';
  }
}

/** A TCP connection by its inode: where it is from, where to, and its state in the kernel. */
function connectionOf(inode: string): string | undefined {
  for (const line of readFileSync('/proc/self/net/tcp', 'latin1').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[9] !== inode) continue;
    const portOf = (word: string) => Number.parseInt(word.split(':')[1]!, 16);
    return `tcp ${portOf(words[1]!)} to ${portOf(words[2]!)}, ${STATES[Number.parseInt(words[3]!, 16)] ?? 'listening'}`;
  }
}
