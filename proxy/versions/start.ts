/**
 * What a node begins with. The file on the command line is what people look at, so it counts, unless it is still as it was when a later
 * version was applied over it: then a restart would silently take that version back. A version that nobody confirmed is not begun with.
 */
import type { Document } from '../../config/document.ts';
import { parseDocument, type Source } from '../../config/load.ts';
import { hashOfSources, NO_OVERLAY, type Overlay, type VersionRecord } from './record.ts';
import type { VersionStore } from './store.ts';

export interface Start {
  readonly sources: readonly Source[];
  readonly document: Document;
  readonly overlay: Overlay;
  readonly note: string | null;
  /** It is the newest version as it stands: no new one is made of it. */
  readonly unchanged: boolean;
  /** It is not the file; the file is there to fall back on. */
  readonly fallback: boolean;
  /** What somebody should know, a line each. */
  readonly news: readonly string[];
}

export async function settleStart(file: readonly Source[], document: Document, store: VersionStore, now: number): Promise<Start> {
  const { newest } = store;
  const news: string[] = [];
  if (newest === null) return { sources: file, document, overlay: NO_OVERLAY, note: null, unchanged: false, fallback: false, news };
  const fileSha256 = hashOfSources(file);
  /** `wanted` null: the file, whatever the versions say. */
  const startOn = (wanted: VersionRecord | null, from: Pick<Start, 'sources' | 'document'>, note: string | null): Start => {
    const overlay = stillHolding(newest.overlay, from.document, now, news);
    const { quarantines, servers } = overlay;
    if (quarantines.length > 0)
      news.push(`still in force: ${quarantines.map(({ name, target }) => `${name} (${target.text})`).join(', ')}`);
    if (servers.length > 0)
      news.push(`still set apart: ${servers.map(({ pool, server, state }) => `${pool}/${server} (${state})`).join(', ')}`);
    const unchanged = wanted === newest && newest.confirm === null && quarantines.length === newest.overlay.quarantines.length;
    return { ...from, overlay, note, unchanged, fallback: note !== null, news };
  };
  const onFile = (wanted: VersionRecord | null) => startOn(wanted, { sources: file, document }, null);
  if (newest.fileSha256 !== fileSha256) {
    if (newest.sha256 === fileSha256) return onFile(newest);
    if (newest.sha256 !== newest.fileSha256) news.push(`the file was changed since version ${newest.version}; starting on the file`);
    return onFile(null);
  }
  let wanted: VersionRecord = newest;
  if (newest.confirm !== null) {
    news.push(`version ${newest.version} was never confirmed; starting on version ${newest.confirm.revertTo}`);
    const earlier = await store.read(newest.confirm.revertTo);
    if (earlier === null) {
      news.push(`version ${newest.confirm.revertTo} is gone; starting on the file`);
      return onFile(null);
    }
    wanted = earlier;
  }
  if (wanted.sha256 === fileSha256) return onFile(wanted);
  const loaded = parseDocument(wanted.sources);
  if (!loaded.ok) {
    news.push(`version ${wanted.version} cannot be read any more; starting on the file`);
    return onFile(null);
  }
  const note = `version ${wanted.version}, which is newer than the file`;
  news.push(`starting on ${note}; change the file, or send SIGHUP, to apply the file`);
  return startOn(wanted, { sources: wanted.sources, document: loaded.document }, note);
}

/** What was ordered of a segment that is gone cannot be kept, and must not keep the node from starting. */
function stillHolding(overlay: Overlay, document: Document, now: number, news: string[]): Overlay {
  const segments = new Set(document.segments.map(({ name }) => name));
  const quarantines = overlay.quarantines.filter(({ name, target, until }) => {
    if (until <= now) return false;
    if (target.kind === 'address' || segments.has(target.text)) return true;
    news.push(`${name} is dropped: the file has no segment ${target.text} any more`);
    return false;
  });
  return { quarantines, servers: overlay.servers };
}
