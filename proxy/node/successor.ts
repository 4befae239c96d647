/** Starts the process that follows this one, as nginx does on the same signal. It asks at the door for what it needs. */
import { spawn } from 'node:child_process';
import type { Logger } from '../observe/log.ts';

/** `words`: what the program that runs this process is called with. The follower outlives this process. */
export function startSuccessor(words: readonly string[] | null, log: Logger): void {
  if (words === null) {
    log.warn({}, 'this node starts no follower by itself: it was not started by bulkhead run');
    return;
  }
  // The watchdog of the service manager is this process's; the follower is told of it by being the service.
  const { WATCHDOG_PID: _, ...env } = process.env;
  const child = spawn(process.execPath, words, { env, detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
  child.on('spawn', () => log.info({ pid: child.pid }, 'a new process was started to take over'));
  child.on('error', (error) => log.error({ err: error }, 'a new process cannot be started; this one carries on'));
  child.unref();
}
