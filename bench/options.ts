/** What the bench can be told on the command line. */
import { parseArgs } from 'node:util';

export const WORKS = ['http', 'bulk', 'pingpong', 'connect', 'tls', 'h2', 'memory', 'latency', 'rules', 'identity', 'workers'] as const;
export type WorkName = (typeof WORKS)[number];
export const PEERS_DEFAULT = ['bulkhead', 'haproxy', 'nginx', 'http-proxy', 'node'] as const;
export const PEERS = [...PEERS_DEFAULT, 'haproxy+log', 'haproxy+splice', 'nginx+log'] as const;
export type PeerName = (typeof PEERS)[number];

export const HELP = `Measures Bulkhead and its rivals on the same work, in one run.

  npm run bench -- [options]

  --only LIST      of ${WORKS.join(',')}
  --peers LIST     of ${PEERS.join(',')}
                   (default: all without +; +log writes a line for each request or connection to a file,
                   +splice has option splice-auto)
  --rounds N       rounds for each work, peers taking turns in each (default 5; 2 with --quick)
  --seconds S      seconds for each turn (default 2; 0.6 with --quick; wrk and autocannon: whole ones)
  --quick          a rough picture in under two minutes: fewer and shorter rounds, 1,000 idle flows, two sizes of policy
  --json FILE      write the results as JSON
  --plot FILE      write the ratios as SVG (default: FILE of --json with .svg for .json)
  --help           this text

Exit status: 0 all was measured, 1 something failed (the report says what), 2 wrong usage.
Reads /proc and pins with taskset: Linux only. The proxy has core 0 for itself, load and backends share core 1.
`;

export interface Options {
  readonly works: readonly WorkName[];
  readonly peers: readonly PeerName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly quick: boolean;
  readonly json: string | null;
  readonly plot: string | null;
}

/** Reads the arguments. A string is what is wrong with them, or null where help is wanted. */
export function readOptions(args: readonly string[]): Options | string | null {
  let values: { [key: string]: string | boolean | undefined };
  try {
    const option = { type: 'string' } as const;
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: option,
        peers: option,
        rounds: option,
        seconds: option,
        json: option,
        plot: option,
        quick: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (values.help === true) return null;
  const quick = values.quick === true;
  const works = choose('--only', values.only, WORKS, WORKS);
  const peers = choose('--peers', values.peers, PEERS, PEERS_DEFAULT);
  const rounds = bounded('--rounds', values.rounds, quick ? 2 : 5, 1, 100);
  const seconds = bounded('--seconds', values.seconds, quick ? 0.6 : 2, 0.2, 60);
  for (const value of [works, peers, rounds, seconds]) if (typeof value === 'string') return value;
  if (!Number.isInteger(rounds)) return '--rounds is a whole number';
  const json = (values.json as string | undefined) ?? null;
  const plot = (values.plot as string | undefined) ?? (json === null ? null : `${json.replace(/\.json$/, '')}.svg`);
  return {
    works: works as WorkName[],
    peers: peers as PeerName[],
    rounds: rounds as number,
    seconds: seconds as number,
    quick,
    json,
    plot,
  };
}

function choose<T extends string>(
  name: string,
  value: string | boolean | undefined,
  known: readonly T[],
  all: readonly T[],
): readonly T[] | string {
  if (typeof value !== 'string') return all;
  const chosen = value.split(',').filter((part) => part !== '');
  const unknown = chosen.find((part) => !known.includes(part as T));
  if (unknown !== undefined) return `${name}: no such thing as ${unknown}; there are ${known.join(', ')}`;
  return chosen.length === 0 ? `${name} needs at least one of ${known.join(', ')}` : known.filter((part) => chosen.includes(part));
}

function bounded(name: string, value: string | boolean | undefined, usual: number, least: number, most: number): number | string {
  if (typeof value !== 'string') return usual;
  const number = Number(value);
  return value.trim() !== '' && number >= least && number <= most ? number : `${name} is a number from ${least} to ${most}`;
}
