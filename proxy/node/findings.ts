/** What is wrong with VIPs, servers, names, keys and certificates, in words for the list of problems: asked for whenever somebody looks. */
import type { KeySource, KeySourceEvents } from '../identity/key-source.ts';
import type { Logger } from '../observe/log.ts';
import type { Problems } from '../observe/problems.ts';
import type { Book } from '../shared/book.ts';
import { sharedNow } from '../shared/monotonic.ts';
import type { TlsFileEvents, TlsFiles } from '../tls/tls-files.ts';
import type { HealthEvents } from './health.ts';
import { explainListenError, vipsOf } from './probe.ts';
import { ProxyWatch } from './proxy-watch.ts';
import { absence } from './server-states.ts';
import { type EmptyPool, ServerWatch, type WatchedServers } from './server-watch.ts';
import type { Unbound } from './unbound.ts';

/** Where problems come from, and where they go. */
export interface Watched extends WatchedServers {
  readonly problems: Problems;
  readonly keys: Pick<KeySource, 'states'>;
  readonly tls: Pick<TlsFiles, 'troubles'>;
  readonly book: Pick<Book, 'sums'>;
  readonly unbound: Unbound;
  readonly workers: number;
}

/** From here on they are found. Whoever asks for the watch stops it. */
export function watchOver(watched: Watched, log: Logger): ServerWatch {
  const { problems, keys, tls, book, unbound, workers, faultOf, inForce } = watched;
  // Looked at also where nobody asks, so that a problem is told with the moment at which it began.
  const watch = new ServerWatch({ ...watched, looked: () => void problems.counts() }, log);
  problems.ask('pool', () => watch.emptyPools().map((empty) => [empty.pool, emptiness(empty)]));
  problems.ask('vip', () =>
    vipsOf(inForce()?.document).flatMap((endpoint) => {
      const [lack, ...more] = unbound.of(endpoint);
      if (lack === undefined) return [];
      const without = unbound.isUnheard(endpoint, workers)
        ? 'Nobody listens there'
        : `${1 + more.length} of ${workers} workers are without it`;
      return [[endpoint.text, `${explainListenError(endpoint, lack)}. ${without}; it is tried again every few seconds.`] as const];
    }),
  );
  problems.ask('server-name', () =>
    (inForce()?.names ?? [])
      .filter(({ inUse, refused }) => inUse === 0 && refused.length === 0)
      .map((name) => {
        const { text } = name.server.endpoint;
        const why = absence(name, faultOf);
        return [
          `${name.pool}/${text}`,
          `Server ${text} of pool ${name.pool} takes no flows: ${why}. Look at the name and at the name servers.`,
        ];
      }),
  );
  problems.ask('token-keys', () =>
    keys.states().flatMap(({ location, fault, fetchedAt }) => {
      if (fault === null) return [];
      const meanwhile =
        fetchedAt === null
          ? 'no token of the issuer can be checked, and requests that need one are answered 503'
          : `those of ${new Date(fetchedAt).toISOString()} stay in use`;
      return [
        [location, `The keys of a token issuer at ${location} cannot be had (${fault}): ${meanwhile}. They are asked for again.`] as const,
      ];
    }),
  );
  problems.ask('certificate', () => tls.troubles());
  const proxies = new ProxyWatch(book);
  problems.ask('proxy-header', () => {
    const resolved = inForce();
    return resolved === null ? [] : proxies.find(resolved.document, sharedNow());
  });
  return watch;
}

function emptiness({ pool, why, isEjected }: EmptyPool): string {
  return isEjected
    ? `Every server of pool ${pool} that is up is ejected (${why}): flows are sent to them all the same, and the first that succeeds ends its server's ejection. Look at the servers.`
    : `No server of pool ${pool} takes flows: ${why}. Look at the servers and at what checks them.`;
}

/** What the log says of active checks. */
export function healthEvents(log: Logger): HealthEvents {
  return {
    changed: (pool, server, up, detail) => log[up ? 'info' : 'warn']({ pool, server, detail }, up ? 'server is up' : 'server is down'),
  };
}

/** What the log says of the files of TLS, and who is told that others are in use. */
export function tlsFileEvents(log: Logger, changed: () => void): TlsFileEvents {
  return {
    changed: (whose) => {
      log.info({ whose }, 'files of TLS were read again');
      changed();
    },
    trouble: (owner, message) => log.warn({ owner, message }, 'files of TLS'),
  };
}

/** What the log says of keys, and who is taught them. */
export function keyEvents(log: Logger, learnt: KeySourceEvents['learnt']): KeySourceEvents {
  return {
    learnt,
    trouble: (location, message) => log.warn({ location, message }, 'keys of a token issuer cannot be had; those that are known stay'),
    recovered: (location) => log.info({ location }, 'keys of a token issuer are had again'),
  };
}
