/** Who does something to a node, and what they may do. */
import { ADMIN_ROLES, type AdminRole } from '../../config/document.ts';

export interface Actor {
  /** The name of the token; `local` over the unix socket; `node` for what the node does by itself. */
  readonly name: string;
  readonly role: AdminRole;
  /** Where the order came from: `127.0.0.1:40000`, `unix`, `signal`, `start`, `node`. */
  readonly from: string;
}

/** The node itself: expiries, reverts, starts. */
export function nodeActor(from: 'start' | 'signal' | 'node'): Actor {
  return { name: 'node', role: 'admin', from };
}

/** Each role may do all that the one before it may. */
export function isAtLeast(role: AdminRole, wanted: AdminRole): boolean {
  return ADMIN_ROLES.indexOf(role) >= ADMIN_ROLES.indexOf(wanted);
}
