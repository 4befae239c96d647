/**
 * The policy by addresses and ports as an nftables ruleset: for every VIP the sources that may reach it, and a reset for everyone else.
 * Packets are judged one by one, without connection tracking, so that a change also ends what is open. The cluster lane and VRRP (RFC 9568,
 * IP protocol 112) are accepted before anything else; what goes to no VIP is not touched.
 */
import { formatAddress } from '../config/address.ts';
import type { Exportable, OpenVip } from './export.ts';
import { type AddressRange, addressAt } from './space/cover.ts';

const TABLE = 'bulkhead';
/** Elements of a set in one line. */
const LINE_ELEMENTS = 8;

/** A whole file for `nft -f`: it replaces the table, in one transaction. */
export function toNftables({ vips, cluster, left }: Exportable): string {
  const sets = new Map<string, { name: string; ranges: readonly AddressRange[] }>();
  const setOf = (ranges: readonly AddressRange[]): string => {
    const key = ranges.map(rangeText).join();
    let set = sets.get(key);
    if (set === undefined) sets.set(key, (set = { name: `sources_${sets.size}`, ranges }));
    return set.name;
  };
  const lane = ([4, 6] as const).flatMap((family) => {
    const own = cluster.filter((range) => range.family === family);
    return own.length === 0 ? [] : [`    ${family === 4 ? 'ip' : 'ip6'} saddr @${setOf(own)} accept comment "cluster lane"`];
  });
  // A VIP on every address of a port stands for those that no other VIP has.
  const ordered = [...vips.filter((vip) => !isEverywhere(vip)), ...vips.filter(isEverywhere)];
  const rules = ordered.flatMap((vip) => vipRules(vip, setOf));
  return [
    `# Made by bulkhead export. Load it with: nft -f FILE`,
    ...left.map((sentence) => `# not expressed: ${oneLine(sentence)}`),
    `add table inet ${TABLE}`,
    `delete table inet ${TABLE}`,
    `table inet ${TABLE} {`,
    ...[...sets.values()].flatMap(({ name, ranges }) => setLines(name, ranges)),
    '  chain input {',
    '    type filter hook input priority filter; policy accept;',
    '    meta l4proto 112 accept comment "VRRP"',
    ...lane,
    ...rules,
    '  }',
    '}',
    '',
  ].join('\n');
}

function vipRules(vip: OpenVip, setOf: (ranges: readonly AddressRange[]) => string): string[] {
  const { endpoint, sources, application } = vip;
  const { family } = endpoint.address;
  const ip = family === 4 ? 'ip' : 'ip6';
  const to = isEverywhere(vip) ? `meta nfproto ipv${family}` : `${ip} daddr ${formatAddress(endpoint.address)}`;
  const match = `    ${to} tcp dport ${endpoint.port}`;
  const deny = `${match} reject with tcp reset comment "${application}"`;
  return sources.length === 0 ? [deny] : [`${match} ${ip} saddr @${setOf(sources)} accept comment "${application}"`, deny];
}

function isEverywhere({ endpoint: { address } }: OpenVip): boolean {
  return address.family === 4 ? address.words[3] === 0 : address.words.every((word) => word === 0);
}

function setLines(name: string, ranges: readonly AddressRange[]): string[] {
  const texts = ranges.map(rangeText);
  const lines: string[] = [];
  for (let i = 0; i < texts.length; i += LINE_ELEMENTS) lines.push(`      ${texts.slice(i, i + LINE_ELEMENTS).join(', ')},`);
  const type = ranges[0]!.family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  return [`  set ${name} {`, `    type ${type}`, '    flags interval', '    elements = {', ...lines, '    }', '  }'];
}

function rangeText({ family, first, last }: AddressRange): string {
  const from = formatAddress(addressAt(first, family));
  return first === last ? from : `${from}-${formatAddress(addressAt(last, family))}`;
}

function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f]/g, ' ');
}
