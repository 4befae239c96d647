/**
 * Whose request it is, where a trusted proxy in front says so: the client is the last address in X-Forwarded-For (or Forwarded, RFC 7239 §5.2) that
 * is not such a proxy itself. A proxy brings the requests of many clients by one connection; of one client, one after the other costs a comparison.
 */
import { type Address, formatAddress, type Prefix, parseAddress, prefixContains } from '../../config/address.ts';
import type { SourceWords } from '../balance/pool.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { RequestHead } from './request-head.ts';
import { fieldLines } from './sent-fields.ts';

/** Proxies that one request can have come by; a longer list is read from its end. */
const HOPS_MAX = 32;

/** What the hops before this one have said, as it is to be passed on; null for what they have not. */
export interface ForwardedWords {
  readonly for: string | null;
  readonly proto: string | null;
  readonly host: string | null;
  readonly forwarded: string | null;
}

export class Hops {
  /** The client of the request, and the same as records have it: with a port where it is the peer. */
  source: SourceWords;
  sourceText: string;
  words: ForwardedWords | null = null;
  /** Whether the connection's peer is one whose word counts. */
  isTrusted = false;
  private trusted: readonly Prefix[] = [];
  private readonly peer: Arrival;
  private said: Buffer | null = null;

  constructor(arrival: Arrival) {
    this.peer = arrival;
    this.source = arrival.source;
    this.sourceText = arrival.sourceText;
    this.trust(arrival.application.trusted);
  }

  /** hot: whose word counts, by the policy in force. True where that has changed, and the peer is nobody but itself until it has said more. */
  trust(trusted: readonly Prefix[]): boolean {
    if (trusted === this.trusted) return false;
    const { peer } = this;
    this.trusted = trusted;
    this.isTrusted = trusted.length > 0 && peer.hasAddress && this.isProxy(addressOf(peer.source));
    this.source = peer.source;
    this.sourceText = peer.sourceText;
    this.words = this.said = null;
    return true;
  }

  /** hot: reads what is said of a request whose head was just scanned. True where that is not what was said of the one before. */
  learn(bytes: Buffer, head: RequestHead): boolean {
    const said = bytes.subarray(head.fieldsStart, head.fields.end);
    if (this.said?.equals(said)) return false;
    this.said = Buffer.from(said);
    const all = (name: string) => {
      const lines = fieldLines(bytes, head.fieldsStart, name).map(([start, end]) => bytes.toString('latin1', start, end));
      return lines.length === 0 ? null : lines.join(', ');
    };
    const chain = all('x-forwarded-for');
    const forwarded = all('forwarded');
    const proto = all('x-forwarded-proto');
    const host = all('x-forwarded-host');
    this.words = { for: chain, proto: proto === 'http' || proto === 'https' ? proto : null, host, forwarded };
    const client = this.clientOf(chain === null ? forElements(forwarded) : chain.split(','));
    this.source = client === null ? this.peer.source : (client.words as unknown as SourceWords);
    this.sourceText = client === null ? this.peer.sourceText : formatAddress(client);
    return true;
  }

  /** The last of the addresses that is no proxy of ours; the first, where all are; null where none of them can be told. */
  private clientOf(chain: readonly string[]): Address | null {
    let client: Address | null = null;
    for (const text of chain.slice(-HOPS_MAX).reverse()) {
      const address = readHop(text);
      // Who wrote something that is no address cannot say who is behind it.
      if (address === null) return client;
      client = address;
      if (!this.isProxy(address)) return client;
    }
    return client;
  }

  private isProxy(address: Address): boolean {
    return this.trusted.some((prefix) => prefixContains(prefix, address));
  }
}

function addressOf([a, b, c, d]: SourceWords): Address {
  return { family: a === 0 && b === 0 && c === 0xffff ? 4 : 6, words: [a, b, c, d] };
}

/** An address as hops are written: alone, in quotes, in brackets, with a port. */
function readHop(text: string): Address | null {
  const bare = text.trim().replace(/^"(.*)"$/, '$1');
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::[0-9]{1,5})?$/.exec(bare);
  if (bracketed !== null) return parseAddress(bracketed[1]!);
  return parseAddress(/^[0-9.]+:[0-9]{1,5}$/.test(bare) ? bare.slice(0, bare.indexOf(':')) : bare);
}

/** The `for` of each element (RFC 7239 §4); an element without one is an unknown hop. */
function forElements(forwarded: string | null): string[] {
  if (forwarded === null) return [];
  return forwarded.split(',').map((element) => /(?:^|;)\s*for\s*=\s*("[^"]*"|[^;\s]*)/i.exec(element)?.[1] ?? 'unknown');
}
