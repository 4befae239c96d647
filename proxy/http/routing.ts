/** Where an allowed request goes: by the first route that matches it, changed on its way as that says, or elsewhere altogether. */
import { normalisePath } from '../../policy/request.ts';
import type { PoolBalancer } from '../balance/pool.ts';
import { Mirror } from '../routing/mirror.ts';
import { locationOf } from '../routing/redirect.ts';
import { newTarget } from '../routing/rest.ts';
import { type CompiledRoute, poolFor, type RouteTable } from '../routing/table.ts';
import type { Exchange } from './exchange.ts';
import type { ExchangeHost } from './exchange-host.ts';
import type { Judgement } from './judgement.ts';

/** The client connection that the request came by. */
export interface RoutedPlace extends ExchangeHost {
  /** Where its next request goes, or the one under way. */
  pool: PoolBalancer;
}

export class Routing {
  private readonly place: RoutedPlace;
  private readonly exchange: Exchange;
  private readonly judgement: Judgement;

  constructor(place: RoutedPlace, exchange: Exchange, judgement: Judgement) {
    this.place = place;
    this.exchange = exchange;
    this.judgement = judgement;
  }

  /** hot: sends the request under way to a server, or its client elsewhere. */
  send(): void {
    const { place, exchange } = this;
    const { policy } = place.context;
    const table = policy.routesOf(place.listener.application);
    place.pool = policy.poolOf(place.listener.application);
    const compiled = table === null ? null : this.find(table);
    exchange.responseEdit = compiled === null ? null : compiled.responseEdit;
    if (compiled === null) exchange.reach();
    else if (compiled.route.redirect !== null) this.redirect(compiled);
    else {
      place.pool = policy.pools[poolFor(compiled, place.context.random)]!;
      this.rewrite(compiled);
      if (compiled.mirror >= 0) this.mirror(compiled);
      exchange.reach();
    }
  }

  private find(table: RouteTable): CompiledRoute | null {
    const facts = table.asksForRequests ? this.judgement.facts() : null;
    return table.find(facts, this.target, this.place.arrival.tls);
  }

  private get target(): string {
    const { request } = this.exchange;
    return request.bytes.toString('latin1', request.pathStart, request.pathEnd);
  }

  private rewrite({ route, requestEdit }: CompiledRoute): void {
    if (requestEdit === null) return;
    const { request } = this.exchange;
    const path = route.rewrite?.path ?? null;
    if (path === null) {
      request.rewrite(requestEdit, null);
      return;
    }
    const { target } = this;
    // `OPTIONS *` asks about the server, not about a path.
    const moved = target === '*' ? target : newTarget(path, target, normalisePath(target), route.http?.paths ?? []);
    request.rewrite(requestEdit, `${request.bytes.toString('latin1', 0, request.methodEnd)} ${moved} HTTP/1.1`);
  }

  private redirect({ route }: CompiledRoute): void {
    const { target, exchange, place } = this;
    const location = locationOf(route.redirect!, {
      scheme: place.arrival.tls?.terminated === true ? 'https' : 'http',
      host: exchange.request.hostName.toString('latin1'),
      target: target === '*' ? '/' : target,
      normalised: normalisePath(target),
      patterns: route.http?.paths ?? [],
    });
    exchange.conclusion.redirect(route.redirect!.status, location);
  }

  private mirror({ route, mirror }: CompiledRoute): void {
    const { request } = this.exchange;
    const { context } = this.place;
    if (request.upgrading || context.random() >= route.mirror!.share) return;
    Mirror.send(this.place, context.policy.pools[mirror]!, request.isKept ? request.outgoing : null, request.isHead);
  }
}
