/** Where the admin endpoint of a node listens: at an address of its own, or at that of the process which it follows. */
import type { Document } from '../../config/document.ts';
import { type Admin, openAdmin } from '../admin/server.ts';
import type { History } from '../observe/history.ts';
import type { Logger } from '../observe/log.ts';
import type { Control } from '../versions/control.ts';
import { removeSocket } from '../wire/listen.ts';
import type { Node } from './node.ts';
import type { Predecessor } from './takeover.ts';

/** For an address that the process before has not passed on: one of an earlier release closes it when it says that it leaves. */
const ADMIN_MS_MAX = 5_000;
const ADMIN_RETRY_MS = 50;
const UNIX = 'unix:';

export class AdminPlace {
  readonly #settings: Document['process'];
  readonly #node: Node;
  readonly #history: History;
  readonly #log: Logger;
  readonly #control: Control;

  constructor(settings: Document['process'], node: Node, history: History, log: Logger, control: Control) {
    this.#settings = settings;
    this.#node = node;
    this.#history = history;
    this.#log = log;
    this.#control = control;
  }

  /**
   * Listens beside the predecessor, where that has the same address, so that nobody who asks meets a closed door: for the time until the predecessor is
   * relieved, one of both answers. null where there is nothing to go over, or where that fails, which the log then says.
   */
  async openBeside({ admin }: Predecessor): Promise<Admin | null> {
    const endpoint = this.#settings.admin;
    if (endpoint === null || admin === null || admin.text !== endpoint.text) return null;
    try {
      return await this.#open(endpoint, admin);
    } catch (error) {
      // As long as it is open, nobody can bind the address anew.
      admin.socket?.close();
      this.#log.warn({ err: error }, 'the admin address could not be taken over as it is; it is opened anew');
      return null;
    }
  }

  /** An address that the file no longer names is nobody's now. */
  giveUp({ admin }: Predecessor): void {
    if (admin === null || admin.text === this.#settings.admin?.text) return;
    admin.socket?.close();
    if (admin.text.startsWith(UNIX)) removeSocket(admin.text.slice(UNIX.length));
  }

  /**
   * Opens the endpoint, if the file wants one. After a takeover the traffic is carried already, so an address that the process before has not let go of
   * yet is asked for again, and in the end done without: the log says so. At a plain start it is an error.
   */
  async open(tookOver: boolean): Promise<Admin | null> {
    const endpoint = this.#settings.admin;
    if (endpoint === null) return null;
    const until = performance.now() + ADMIN_MS_MAX;
    for (;;) {
      try {
        return await this.#open(endpoint, null);
      } catch (error) {
        if (!tookOver) throw error;
        if (performance.now() > until) {
          const without = 'the admin endpoint is not there; this node carries traffic without it, and takes orders by SIGHUP alone';
          this.#log.error({ err: error }, without);
          return null;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, ADMIN_RETRY_MS));
    }
  }

  #open(endpoint: NonNullable<Document['process']['admin']>, taken: Predecessor['admin']): Promise<Admin> {
    const { adminTokens: tokens, adminTls: tls } = this.#settings;
    return openAdmin(endpoint, this.#node, this.#history, this.#log, { orders: this.#control, tokens, tls, taken });
  }
}
