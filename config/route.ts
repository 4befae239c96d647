/** Routes as the document holds them. A flow that the rules allow goes by the first route that matches it. */
import type { HeaderMatch, HttpMatch } from './match.ts';
import type { Place } from './place.ts';

export interface Route {
  /** Unique in its application. */
  readonly name: string;
  readonly http: RouteMatch | null;
  /** Names and protocols of a TLS client's hello. */
  readonly tls: { readonly sni: readonly string[] | null; readonly alpn: readonly string[] | null } | null;
  /** Where such flows go, by shares; one pool has them all. */
  readonly pools: readonly { readonly pool: string; readonly weight: number }[];
  readonly redirect: Redirect | null;
  readonly rewrite: { readonly path: string | null; readonly host: string | null } | null;
  readonly requestFields: FieldEdits | null;
  readonly responseFields: FieldEdits | null;
  readonly mirror: { readonly pool: string; readonly share: number } | null;
  readonly place: Place;
}

export interface RouteMatch extends HttpMatch {
  /** Parameters of the query, as written before decoding; each must be there with one of its values. */
  readonly query: readonly HeaderMatch[] | null;
}

export interface Redirect {
  readonly scheme: 'http' | 'https' | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly path: string | null;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

/** What becomes of the fields of a head: first what is removed or set goes, then what is set or added comes. */
export interface FieldEdits {
  readonly set: readonly FieldText[];
  readonly add: readonly FieldText[];
  /** Lower case. */
  readonly remove: readonly string[];
}

export interface FieldText {
  readonly name: string;
  readonly value: string;
}
