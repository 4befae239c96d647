/** What a rule can be found by, see patterns.ts: the patterns of whatever it asks for. */
import type { HttpMatch } from '../config/match.ts';
import { ASKS_IDENTITY, ASKS_REQUEST, ASKS_TLS, type Demand, isByAddress, type TextPattern, textPattern } from './demand.ts';
import { fieldName } from './header-lookup.ts';
import type { Handle, PatternIndex } from './pattern-index.ts';
import type { Space } from './patterns.ts';
import { foldHostPattern, foldPathPattern, type HostPattern } from './request.ts';

export function handlesOf(http: HttpMatch | null, demand: Demand | null, index: PatternIndex): Handle[] {
  const handles: Handle[] = [];
  const add = (asks: number, nodes: readonly number[]) => handles.push({ asks, cases: [[nodes]] });
  const texts = (space: Space, patterns: readonly TextPattern[]) =>
    patterns.map(({ exact, prefix }) => (exact === null ? index.prefix(space, prefix!) : index.whole(space, exact)));
  const hosts = (space: Space, patterns: readonly HostPattern[]) =>
    patterns.map(({ exact, suffix }) => (exact === null ? index.prefix(space, suffix!) : index.whole(space, exact)));

  if (http !== null && http.hosts !== null) add(ASKS_REQUEST, hosts('host', http.hosts.map(foldHostPattern)));
  if (http !== null && http.paths !== null) {
    const nodes = http.paths
      .map(foldPathPattern)
      .flatMap(({ exact, prefix }) => [
        ...(exact === null ? [] : [index.whole('path', exact)]),
        ...(prefix === null ? [] : [index.prefix('path', prefix)]),
      ]);
    add(ASKS_REQUEST, nodes);
  }
  if (http !== null && http.methods !== null)
    add(
      ASKS_REQUEST,
      http.methods.map((method) => index.whole('method', method)),
    );
  for (const { name, values } of http?.headers ?? []) {
    const seed = index.field(fieldName(name));
    const nodes = values
      .map(textPattern)
      .map(({ exact, prefix }) => (exact === null ? index.prefix('field', prefix!, seed) : index.whole('field', exact, seed)));
    handles.push({ asks: ASKS_REQUEST, cases: [[nodes]] });
  }
  if (demand === null) return handles;
  const { tls, identities, cases, database } = demand;
  if (tls !== null && tls.sni !== null) add(ASKS_TLS, hosts('sni', tls.sni));
  if (tls !== null && tls.alpn !== null)
    add(
      ASKS_TLS,
      tls.alpn.map((name) => index.whole('alpn', name)),
    );
  if (tls !== null && tls.ja4 !== null) add(ASKS_TLS, texts('ja4', tls.ja4));
  if (identities !== null) add(ASKS_IDENTITY, texts('identity', identities));
  const byIdentity = cases?.filter((one) => !isByAddress(one)) ?? [];
  if (byIdentity.length > 0)
    handles.push({
      asks: ASKS_IDENTITY,
      cases: byIdentity.map(({ has }) => has.map((list) => texts('identity', list))),
      besideAddresses: byIdentity.length < cases!.length,
    });
  if (database !== null) {
    const { kind, users, names, keys, denies } = database;
    const part = (space: Space, patterns: readonly TextPattern[]) =>
      add(ASKS_REQUEST, [...texts(space, patterns), ...(denies ? [index.untold(space)] : [])]);
    if (users !== null) part('user', users);
    if (names !== null) part('name', names);
    if (keys !== null) part('key', keys);
    if (users === null && names === null && keys === null) add(ASKS_REQUEST, [index.whole('kind', kind)]);
  }
  return handles;
}
