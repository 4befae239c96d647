/** Files that this process cannot read for a while, and that look the same throughout: a chmod leaves inode, size and time of change as they are. */
import { chmodSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Any user without rights of its own: root reads whatever its mode says. */
const NOBODY = 65_534;

/** Its folder can be looked into by everybody from then on. Nothing but looking and reading can be done meanwhile where the tests run as root. */
export async function withUnreadable(file: string, work: () => Promise<void>): Promise<void> {
  const { mode } = statSync(file);
  const isRoot = process.geteuid!() === 0;
  chmodSync(dirname(file), 0o755);
  chmodSync(file, 0);
  if (isRoot) process.seteuid!(NOBODY);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid!(0);
    chmodSync(file, mode);
  }
}
