/** `bulkhead export`: the part of a policy that another system can express, with a report of what it cannot. */
import { stringify } from 'yaml';
import { exportable } from '../../policy/export.ts';
import { toKubernetes } from '../../policy/export-kubernetes.ts';
import { toNftables } from '../../policy/export-nftables.ts';
import { CommandError, EXIT } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { EXPORT_TARGETS } from './values.ts';

/** Returns the exit status. The export goes to standard output, what it leaves out to standard error as well. */
export function exportFile(file: string, words: { readonly to?: string }): number {
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
  for (const sentence of left) process.stderr.write(`not expressed: ${sentence}\n`);
  return EXIT.yes;
}
