/**
 * What a service manager is told (sd_notify(3)). The message is a datagram on a unix socket, which Node cannot send by itself; so systemd's own
 * `systemd-notify` sends it, which is there wherever systemd is. The unit has to take messages from it: NotifyAccess=all.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Logger } from '../observe/log.ts';

const COMMAND = 'systemd-notify';
const SEND_MS_MAX = 5_000;
/** Messages that wait while one is being sent; of more than this the oldest is dropped, and the log says so. */
const MESSAGES_MAX = 16;

export class Service {
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: Logger;
  readonly #waiting: string[][] = [];
  #sending: Promise<void> | null = null;
  #troubled = false;
  #watchdog: NodeJS.Timeout | null = null;

  constructor(env: NodeJS.ProcessEnv, log: Logger) {
    this.#env = env;
    this.#log = log;
  }

  /** Carries traffic: bound, with every worker on the policy. The process that says so is the service, even where it followed another. */
  ready(status: string): void {
    this.#tell('READY=1', `MAINPID=${process.pid}`, `STATUS=${status}`);
  }

  /** `ready` has to follow, whether the file was applied or not. */
  reloading(): void {
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`);
  }

  stopping(status: string): void {
    this.#tell('STOPPING=1', `STATUS=${status}`);
  }

  /** Says that the node is alive twice in the time that the manager allows, for as long as `isAlive` agrees. Nothing where no watchdog is set. */
  watch(isAlive: () => Promise<boolean>): void {
    const microseconds = Number(this.#env.WATCHDOG_USEC);
    const { WATCHDOG_PID } = this.#env;
    if (!(microseconds > 0) || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid))) return;
    const beat = async () => {
      if (await isAlive()) this.#tell('WATCHDOG=1');
      else this.#log.error({}, 'a worker gives no answer; the service manager is not told that this node is alive');
    };
    void beat();
    this.#watchdog = setInterval(() => void beat(), microseconds / 2_000);
    this.#watchdog.unref();
  }

  /** Another process is the service now, or none: nothing is told any more. Waits for what is on its way. */
  async close(): Promise<void> {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    while (this.#sending !== null) await this.#sending;
  }

  #tell(...assignments: string[]): void {
    if (!this.#env.NOTIFY_SOCKET) return;
    this.#waiting.push(assignments);
    if (this.#waiting.length > MESSAGES_MAX)
      this.#trouble(`${this.#waiting.shift()!.join(' ')} was not told: earlier messages have not left yet`);
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const trouble = await notify(next, this.#env).catch((error: unknown) => `${COMMAND} cannot be run (${String(error)})`);
      if (trouble === null) this.#troubled = false;
      else this.#trouble(trouble);
    }
    this.#sending = null;
  }

  #trouble(why: string): void {
    if (!this.#troubled) this.#log.error({}, `the service manager cannot be told: ${why}`);
    this.#troubled = true;
  }
}

/** null where it was sent; else what is wrong. Fails where no process can be begun at all. */
function notify(assignments: readonly string[], env: NodeJS.ProcessEnv): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(COMMAND, assignments, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: SEND_MS_MAX });
    let said = '';
    // There is no pipe where the process is out of descriptors, whatever the types say.
    const stderr: Readable | undefined = child.stderr;
    stderr?.on('data', (bytes: Buffer) => (said = `${said}${bytes.toString()}`.slice(0, 500)));
    child.on('error', (error: NodeJS.ErrnoException) =>
      resolve(
        `${COMMAND} cannot be run (${error.message})${error.code === 'ENOENT' ? ": install systemd's tools, or unset NOTIFY_SOCKET" : ''}`,
      ),
    );
    child.on('close', (status, signal) => resolve(status === 0 ? null : `${COMMAND} ended with ${status ?? signal}: ${said.trim()}`));
  });
}
