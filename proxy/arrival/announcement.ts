/** The PROXY header that a server gets before the first byte of a client: who the client is, and what is known of it. */
import type { ProxyProtocolOut } from '../../config/proxy-protocol.ts';
import type { Arrival } from '../worker/arrival.ts';
import { NO_FACTS, type ProxiedEnds, type ProxiedFacts, type ProxiedTls } from './proxied.ts';
import { writeBinary } from './proxy-binary.ts';
import { writeText } from './proxy-text.ts';

/** `receipt` is that of the flow for which the server is dialled; null where it has none yet. */
export function announce(out: ProxyProtocolOut, arrival: Arrival, receipt: string | null): Buffer {
  const ends = endsOf(arrival);
  if (out.version === 1) return writeText(ends);
  return writeBinary(false, ends, out.tlvs.length === 0 ? NO_FACTS : factsOf(out, arrival, receipt), out.tlvs.includes('crc32c'));
}

/** What a check of a server's health says: nobody's connection but ours. */
export function announceSelf(out: ProxyProtocolOut): Buffer {
  return out.version === 1 ? writeText(null) : writeBinary(true, null, NO_FACTS, false);
}

/** A client without an address is nobody that a header could name. */
function endsOf({ hasAddress, source, sourcePort, destination }: Arrival): ProxiedEnds | null {
  if (!hasAddress || destination === null) return null;
  const [a, b, c, d] = source;
  const family = a === 0 && b === 0 && c === 0xffff ? 4 : 6;
  return { kind: 'tcp', source: { address: { family, words: [a, b, c, d] }, port: sourcePort }, destination };
}

function factsOf({ tlvs }: ProxyProtocolOut, { tls, identities }: Arrival, receipt: string | null): ProxiedFacts {
  return {
    alpn: tlvs.includes('alpn') ? (tls?.agreed ?? null) : null,
    authority: tlvs.includes('authority') ? (tls?.sni ?? null) : null,
    uniqueId: tlvs.includes('unique-id') && receipt !== null ? Buffer.from(receipt, 'latin1') : null,
    netns: null,
    ssl: tlvs.includes('ssl') && tls?.terminated === true ? tlsOf(tls.version, tls.cipher, identities) : null,
  };
}

/** Identities of a connection come from a certificate that was verified. */
function tlsOf(version: string | null, cipher: string | null, identities: readonly string[]): ProxiedTls {
  const certificate = identities.length > 0;
  const commonName = identities.find((identity) => identity.startsWith('cn:'))?.slice(3) ?? null;
  return { encrypted: true, certificate, verified: certificate, version, commonName, cipher };
}
