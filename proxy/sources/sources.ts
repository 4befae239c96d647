/** What the node knows of sources beyond the file: countries, systems and names, for the document in force and the one about to be. */
import type { Document, ProcessSettings } from '../../config/document.ts';
import { type Knowledge, wantedOf } from '../../policy/knowledge.ts';
import { GEO_POLL_MS_DEFAULT, GeoFiles } from './geo-files.ts';
import { NAME_TIMES_DEFAULT, Names, type NameTimes } from './names.ts';

/** Changes that come together are told together: a database and ten names make one new policy. */
const GATHER_MS = 50;

export interface SourceEvents {
  /** What is known has changed. */
  changed(): void;
  trouble(what: string, message: string): void;
  recovered(what: string): void;
}

export class Sources {
  readonly #geo: GeoFiles;
  readonly #names: Names;
  readonly #events: SourceEvents;
  #gathering: NodeJS.Timeout | null = null;

  constructor({ geo, resolvers }: Pick<ProcessSettings, 'geo' | 'resolvers'>, events: SourceEvents, times: NameTimes = NAME_TIMES_DEFAULT) {
    this.#events = events;
    const changed = () => this.#gather();
    this.#geo = new GeoFiles(geo, { changed, trouble: (file, message) => events.trouble(file, message) }, GEO_POLL_MS_DEFAULT);
    const told = (name: string, message: string | null) => (message === null ? events.recovered(name) : events.trouble(name, message));
    this.#names = new Names(resolvers, { changed, trouble: told }, times);
  }

  /**
   * Learns what a document asks for, beside what is known already. Answers why the document cannot be applied: a database that has never
   * been read. A name without an answer stands in nobody's way; it is unknown.
   */
  async want(document: Document): Promise<string[]> {
    const { countries, asns, names } = wantedOf(document);
    const problems = [...(await this.#geo.want('country', countries)), ...(await this.#geo.want('asn', asns))];
    if (problems.length === 0) await this.#names.want(names);
    return problems;
  }

  /** The document is in force: what only others asked for is forgotten. */
  settle(document: Document): void {
    const { countries, asns, names } = wantedOf(document);
    this.#geo.settle('country', countries);
    this.#geo.settle('asn', asns);
    this.#names.settle(names);
  }

  knowledge(): Knowledge {
    return {
      countries: this.#geo.prefixes('country') as Knowledge['countries'],
      asns: this.#geo.prefixes('asn') as Knowledge['asns'],
      names: this.#names.known(),
    };
  }

  /** Why a name has no address, or why its last lookup failed: the code of the resolver; null where neither is so. */
  faultOf(name: string): string | null {
    return this.#names.faultOf(name);
  }

  stop(): void {
    this.#geo.stop();
    this.#names.stop();
    if (this.#gathering !== null) clearTimeout(this.#gathering);
  }

  #gather(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null;
      this.#events.changed();
    }, GATHER_MS);
  }
}
