/** `bulkhead export`: the part of a policy that another system can express, with a report of what it cannot. */
import { stringify } from 'yaml';
import { exportable } from '../../policy/export.ts';
import { toKubernetes } from '../../policy/export-kubernetes.ts';
import { toNftables } from '../../policy/export-nftables.ts';
import { CommandError, EXIT } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { EXPORT_TARGETS } from './values.ts';

export interface ExportWords {
  readonly to?: string;
  readonly allowEmpty?: true;
}

/**
 * Returns the exit status: no where an application is left that nobody could reach any more. The export goes to standard output, what it
 * leaves out as comments in it; how much that is, and who is cut off, goes to standard error.
 */
export function exportFile(file: string, words: ExportWords): number {
  const target = EXPORT_TARGETS.find((name) => name === words.to);
  if (target === undefined) throw new CommandError(`--to takes ${EXPORT_TARGETS.join(' or ')}, such as --to nftables`);
  const policy = exportable(loadGoodFile(file), { now: Date.now() });
  let left = policy.left;
  if (target === 'nftables') process.stdout.write(toNftables(policy));
  else {
    const { policies, left: all } = toKubernetes(policy);
    left = all;
    const comments = all.map((sentence) => `# not expressed: ${sentence}\n`).join('');
    process.stdout.write(comments + policies.map((one) => stringify(one, { aliasDuplicateObjects: false })).join('---\n'));
  }
  for (const name of policy.cutOff) process.stderr.write(`nobody could reach ${name} any more: by address alone no rule lets anybody in\n`);
  if (left.length > 0) {
    const things = left.length === 1 ? '1 thing is' : `${left.length} things are`;
    process.stderr.write(`${things} not expressed: the comments at the beginning of the export say what and why\n`);
  }
  return policy.cutOff.length === 0 || words.allowEmpty ? EXIT.yes : EXIT.no;
}
