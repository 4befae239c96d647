/**
 * Whom a source address is counted as, where connections and flows are counted by source. An IPv6 host is given a /64 (RFC 6177, RFC 7934) and may
 * speak from any address in it, so that its whole /64 is counted as one. An IPv4 address is counted alone.
 */
type Words = readonly [number, number, number, number];

/** hot */
export function countedSource(source: Words): Words {
  const [a, b, c] = source;
  return a === 0 && b === 0 && c === 0xffff ? source : [a, b, 0, 0];
}
