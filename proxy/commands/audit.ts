/** `bulkhead audit`: who did what; `--verify` follows the chain of hashes, on the node or in a state folder. */
import { join } from 'node:path';
import { auditFiles, verifyAudit } from '../versions/audit.ts';
import { type AuditEntry, readAudit, type Verification } from '../versions/audit-chain.ts';
import { VersionStore } from '../versions/store.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { isFolder } from './folder.ts';
import { type Column, table } from './table.ts';
import { terminalWidth } from './width.ts';

export interface AuditWords extends AdminWords {
  readonly verify?: true;
  readonly state?: string;
  readonly limit: string;
  readonly wide?: true;
}

const COLUMNS: readonly Column[] = [
  { title: '>entry' },
  { title: 'time (UTC)' },
  { title: 'who', least: 15 },
  { title: 'from', least: 12, leaves: 1 },
  { title: 'action', least: 10 },
  { title: 'outcome' },
  { title: '>version' },
  { title: 'detail', prose: true },
];

export async function audit(words: AuditWords): Promise<number> {
  if (!/^[1-9][0-9]{0,2}$/.test(words.limit))
    throw new CommandError(`--limit ${JSON.stringify(words.limit)} is not a number from 1 to 999`);
  if (words.state !== undefined) return auditOfFolder(words.state, words);
  return withAdmin(words, async (client) => {
    if (words.verify) return tellVerification(await client.get<Verification>('/api/v1/audit/verify'), words.json);
    const { entries } = await client.get<{ entries: AuditEntry[] }>('/api/v1/audit', { limit: words.limit });
    return tellEntries(entries, words);
  });
}

/** Without the node: what it says of itself need not be believed. */
async function auditOfFolder(state: string, words: AuditWords): Promise<number> {
  const directory = join(state, 'versions');
  if (!isFolder(directory)) throw new CommandError(`${directory} is not a folder: --state names the folder that process.state does`);
  if (!words.verify) return tellEntries((await readAudit(await auditFiles(directory), Number(words.limit))).entries, words);
  const { newest } = await VersionStore.open(directory);
  const anchor = newest === null ? null : { hash: newest.audit, of: `version ${newest.version}` };
  return tellVerification(await verifyAudit(directory, anchor), words.json);
}

function tellVerification(found: Verification, json: boolean | undefined): number {
  if (json) printJson(found);
  else if (found.ok) {
    const from = found.first === null || found.first === 1 ? '' : `, from entry ${found.first} on`;
    print(`whole: ${found.entries} entries${from}, the last one with hash ${found.head}`);
  } else process.stderr.write(`bulkhead: the audit is not whole at entry ${found.n ?? '?'} (line ${found.line}): ${found.reason}\n`);
  return found.ok ? EXIT.yes : EXIT.no;
}

function tellEntries(entries: readonly AuditEntry[], { json, wide }: AuditWords): number {
  if (json) printJson({ entries });
  else {
    const rows = entries.map(({ n, time, who, role, from, action, outcome, version, detail, unwritten }) => {
      return [
        String(n),
        time.slice(0, 19).replace('T', ' '),
        `${who} (${role})`,
        from,
        action,
        outcome,
        version === null ? '-' : String(version),
        unwritten ? `(not on disk) ${detail}` : detail,
      ];
    });
    print(...table(COLUMNS, rows, terminalWidth(wide)));
  }
  return EXIT.yes;
}
