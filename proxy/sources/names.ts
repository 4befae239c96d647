/**
 * Host names of segments, looked up as their answers run out. The last good answer stays while a lookup fails; a name that never had one is
 * unknown. A name that is known not to exist, or to have no address, has none: that is an answer.
 */
import { Resolver } from 'node:dns/promises';
import { type Address, compareAddresses, formatAddress, parseAddress } from '../../config/address.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';

export interface NameTimes {
  /** Bounds of how long an answer holds, whatever its TTL says. */
  readonly leastMs: number;
  readonly mostMs: number;
  /** After a failure; doubled each time up to `mostMs`. */
  readonly retryMs: number;
  /** One question to one server. */
  readonly timeoutMs: number;
  /** What a new policy waits for first answers. */
  readonly waitMs: number;
}

export const NAME_TIMES_DEFAULT: NameTimes = { leastMs: 5_000, mostMs: 3_600_000, retryMs: 2_000, timeoutMs: 2_000, waitMs: 3_000 };

/** Addresses kept of one name. Who needs more has a prefix to name. */
export const ADDRESSES_PER_NAME_MAX = 64;
/** Share of its time by which an answer is asked for again earlier, so that many nodes don't ask as one. */
const JITTER = 0.1;

export interface NameEvents {
  changed(): void;
  /** `code`: of the name server or of the way there, said when it changes; null: the name has addresses again, and its lookups work. */
  trouble(name: string, code: string | null): void;
}

type Family = 4 | 6;

class Name {
  readonly name: string;
  /** By family; null where no answer was ever had. */
  readonly answers: Record<Family, readonly Address[] | null> = { 4: null, 6: null };
  failures = 0;
  /** Why it has no address, or why the last lookup failed: `ENOTFOUND`, `ETIMEOUT`, …; null where neither is so. */
  fault: string | null = null;
  timer: NodeJS.Timeout | undefined;
  stopped = false;
  /** Whoever wanted the name has gone on with what was known then: from here on changes are told. */
  heard = false;
  /** The first lookup: whoever wants the name waits for it. */
  first: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /** null while nothing is known. A family that fails does not make the other one unknown. */
  get addresses(): readonly Address[] | null {
    if (this.answers[4] === null && this.answers[6] === null) return null;
    return [...(this.answers[4] ?? []), ...(this.answers[6] ?? [])].slice(0, ADDRESSES_PER_NAME_MAX);
  }
}

export class Names {
  readonly #resolver: Resolver;
  readonly #events: NameEvents;
  readonly #times: NameTimes;
  readonly #random: () => number;
  readonly #names = new Map<string, Name>();

  constructor(servers: readonly string[], events: NameEvents, times: NameTimes = NAME_TIMES_DEFAULT, random: () => number = Math.random) {
    this.#resolver = new Resolver({ timeout: times.timeoutMs, tries: 2 });
    if (servers.length > 0) this.#resolver.setServers([...servers]);
    this.#events = events;
    this.#times = times;
    this.#random = random;
  }

  /** Begins to look up names that are new. Resolves when each has had its first answer or failure, or has taken too long. */
  async want(names: ReadonlySet<string>): Promise<void> {
    for (const name of names) {
      if (this.#names.has(name)) continue;
      const entry = new Name(name);
      this.#names.set(name, entry);
      entry.first = this.#refresh(entry);
    }
    const wanted = [...names].map((name) => this.#names.get(name)!);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, this.#times.waitMs)));
    await Promise.race([Promise.all(wanted.map(({ first }) => first)), late]);
    clearTimeout(timer);
    for (const entry of wanted) entry.heard = true;
  }

  /** Forgets names that are no longer wanted. */
  settle(names: ReadonlySet<string>): void {
    for (const [name, entry] of this.#names) {
      if (names.has(name)) continue;
      entry.stopped = true;
      clearTimeout(entry.timer);
      this.#names.delete(name);
    }
  }

  /** What is known; names that are not are missing. */
  known(): Map<string, readonly Address[]> {
    return new Map([...this.#names].flatMap(([name, { addresses }]) => (addresses === null ? [] : [[name, addresses]])));
  }

  /** Why a name has no address, or why its last lookup failed; null where neither is so, or where it is not wanted. */
  faultOf(name: string): string | null {
    return this.#names.get(name)?.fault ?? null;
  }

  stop(): void {
    this.settle(new Set());
    this.#resolver.cancel();
  }

  async #refresh(entry: Name): Promise<void> {
    const before = textOf(entry.addresses);
    const [ipv4, ipv6] = await Promise.all([this.#ask(entry, 4), this.#ask(entry, 6)]);
    if (entry.stopped) return;
    const failure = ipv4.failure ?? ipv6.failure;
    const fault = failure ?? (entry.addresses?.length === 0 ? (absence(ipv4) ?? absence(ipv6) ?? 'ENODATA') : null);
    const isNews = fault !== entry.fault;
    entry.fault = fault;
    if (isNews) this.#events.trouble(entry.name, fault);
    entry.failures = failure === null ? 0 : entry.failures + 1;
    const { leastMs, mostMs, retryMs } = this.#times;
    const holds = Math.min(mostMs, Math.max(leastMs, Math.min(ipv4.ttlMs, ipv6.ttlMs)));
    const wait = failure === null ? holds : Math.min(mostMs, retryMs * 2 ** Math.min(entry.failures - 1, 16));
    entry.timer = setTimeout(() => void this.#refresh(entry), wait * (1 - JITTER * this.#random()));
    entry.timer.unref();
    if (textOf(entry.addresses) !== before && entry.heard) this.#events.changed();
  }

  /** Asks for one family, and keeps the answer where there is one. */
  async #ask(entry: Name, family: Family): Promise<Asked> {
    try {
      const records =
        family === 4 ? await this.#resolver.resolve4(entry.name, { ttl: true }) : await this.#resolver.resolve6(entry.name, { ttl: true });
      const addresses = records.map((record) => parseAddress(record.address)).filter((address) => address !== null);
      // In one order, so that servers that turn their answers round don't look like a change.
      entry.answers[family] = addresses.sort(compareAddresses);
      if (addresses.length > ADDRESSES_PER_NAME_MAX) hitNodeLimit('addresses-per-name');
      return { failure: null, absent: null, ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      // ENODATA: no record of this kind. ENOTFOUND: no such name (RFC 2308 §2).
      if (code !== 'ENODATA' && code !== 'ENOTFOUND')
        return { failure: code || String(error), absent: null, ttlMs: Number.POSITIVE_INFINITY };
      entry.answers[family] = [];
      return { failure: null, absent: code, ttlMs: NEGATIVE_TTL_MS };
    }
  }
}

/** What came of a question for one family. */
interface Asked {
  readonly failure: string | null;
  /** Where the answer is that there is no address. */
  readonly absent: 'ENODATA' | 'ENOTFOUND' | null;
  readonly ttlMs: number;
}

/** That there is no such name says more than that it has no address. */
function absence({ absent }: Asked): 'ENOTFOUND' | null {
  return absent === 'ENOTFOUND' ? absent : null;
}

/** The resolver doesn't say how long a missing answer holds; a minute is what most zones say. */
const NEGATIVE_TTL_MS = 60_000;

function textOf(addresses: readonly Address[] | null): string {
  return addresses === null ? 'unknown' : addresses.map(formatAddress).join();
}
