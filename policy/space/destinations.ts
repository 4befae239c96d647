/** Where flows can go: every VIP of one or several documents, each with the application that answers there. */
import { formatHostPort } from '../../config/address.ts';
import type { Application, Document, Endpoint } from '../../config/document.ts';

/** Finds the application at an endpoint: its own VIP, or one that listens on every address of the port. */
export class Listeners {
  readonly #applications = new Map<string, number>();

  constructor({ applications }: Document) {
    for (const [index, { vips }] of applications.entries()) {
      // Where two claim one endpoint, which no file can say, the first answers as it does in an image.
      for (const { endpoint } of vips)
        if (!this.#applications.has(endpointKey(endpoint))) this.#applications.set(endpointKey(endpoint), index);
    }
  }

  /** The number of the application; -1 for none. */
  at(endpoint: Endpoint): number {
    const own = this.#applications.get(endpointKey(endpoint));
    if (own !== undefined || endpoint.kind === 'unix') return own ?? -1;
    const wildcard = endpoint.address.family === 4 ? `0.0.0.0:${endpoint.port}` : `[::]:${endpoint.port}`;
    return this.#applications.get(wildcard) ?? -1;
  }
}

/** Every endpoint that a document listens on, once. One that stands for all addresses of a port stands for those that no other VIP has. */
export function endpointsOf(documents: readonly Document[]): Endpoint[] {
  const endpoints = new Map<string, Endpoint>();
  for (const { applications } of documents) {
    for (const { vips } of applications) for (const { endpoint } of vips) endpoints.set(endpointKey(endpoint), endpoint);
  }
  return [...endpoints.values()];
}

export function endpointKey(endpoint: Endpoint): string {
  return endpoint.kind === 'unix' ? endpoint.text : formatHostPort(endpoint.address, endpoint.port);
}

/** The application that a flow without a VIP would meet: none. */
export function applicationAt(document: Document, index: number): Application | null {
  return index < 0 ? null : document.applications[index]!;
}
