/** What a change would do, without it: a document, or something that is to hold beside it. */
import type { Document } from '../../config/document.ts';
import type { Node } from '../node/node.ts';
import { effectOf } from './effect.ts';
import { observe } from './observed.ts';
import type { DryRun, InForce, ProblemView, Refused } from './orders.ts';
import { conflicts, layOver } from './overlay.ts';
import type { Overlay } from './record.ts';
import { refusedWith } from './register.ts';
import { summarise } from './summary.ts';

export interface Wanted {
  /** As written. */
  readonly document: Document;
  readonly overlay: Overlay;
  /** Asked for once the document is known to be good. */
  readonly warnings: () => readonly ProblemView[];
}

/** `standing`: the document in force, as written. Changes nothing. */
export async function dryRunOf(node: Node, inForce: InForce, standing: Document, wanted: Wanted): Promise<DryRun | Refused> {
  const { document, overlay } = wanted;
  const problems = [...conflicts(document, overlay)];
  const prepared = problems.length > 0 ? null : await node.prepare(document, (written) => layOver(written, overlay));
  if (prepared === null || !prepared.ok) return refusedWith(prepared?.problems ?? problems);
  const { generation, version } = inForce;
  const effect = await effectOf(prepared.image, node.policy().document, prepared.document, await observe(node, Date.now()));
  return { ok: true, generation, version, summary: summarise(standing, document), effect, warnings: wanted.warnings() };
}
