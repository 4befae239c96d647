/**
 * Source addresses for load that needs more connections than one address has ports (28,232 by default): 127.1.0.1 and on, in turn.
 * Where the system answers only for 127.0.0.1 on loopback (everything but Linux) the load fails with EADDRNOTAVAIL.
 */
const SOURCE_ADDRESSES = 128;

export function sourceAddress(index: number): string {
  return `127.1.0.${1 + (index % SOURCE_ADDRESSES)}`;
}
