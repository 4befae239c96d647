/**
 * Documents of a chosen size as people write them: the text of a file, half of its lists in blocks and half in brackets. As a program:
 * `node bench/policy/written.ts [PREFIXES [RULES [APPLICATIONS]]] > big.yaml`.
 */
import { formatPrefix } from '../../config/address.ts';
import { type Size, scatteredPrefixes } from './scenes.ts';

const PER_LINE = 6;
/** Of every VIP; no port that only root may listen on. */
export const VIP_PORT = 18_080;

/** Prefixes dealt out to segments, rules to applications, as in `sceneOf`. The text reads without a problem. */
export function writtenScene(size: Size): string {
  const segmentCount = size.segments ?? Math.max(1, Math.min(size.rules, size.prefixes));
  const dealt: string[][] = Array.from({ length: segmentCount }, () => []);
  for (const [i, prefix] of scatteredPrefixes(size.prefixes).entries()) dealt[i % segmentCount]!.push(formatPrefix(prefix));
  const lines = ['# A file of a chosen size, for measuring.', 'version: 1', '', 'networks:', '  cluster: [10.9.0.0/24]', '', 'segments:'];
  for (const [i, addresses] of dealt.entries()) lines.push(...writtenSegment(i, addresses));
  lines.push('', 'pools:', '  servers:', '    balance: least-connections', '    servers:', '      - 127.0.0.1:9001');
  lines.push('      - { address: 127.0.0.1:9002, weight: 3 }', '', 'applications:');
  const each = Math.ceil(size.rules / size.applications);
  for (let i = 0; i < size.applications; i++) {
    lines.push(`  application-${i}:`, `    vips: [${vipAddress(i)}:${VIP_PORT}] # the ${i}th`);
    lines.push(`    mode: ${size.http ? 'http' : 'tcp'}`, '    pool: servers', '    rules:');
    for (let rule = i * each; rule < Math.min(size.rules, (i + 1) * each); rule++) lines.push(...writtenRule(rule, segmentCount, size));
  }
  if (size.guardrails) lines.push('', 'guardrails:');
  for (let i = 0; i < (size.guardrails ?? 0); i++)
    lines.push(`  - { name: guardrail-${i}, from: [segment-${i % segmentCount}], protocols: [ssh], action: deny }`);
  return `${lines.join('\n')}\n`;
}

/** The address of an application's VIP, all of them in loopback. */
export function vipAddress(application: number): string {
  return `127.${(application >>> 16) & 255}.${(application >>> 8) & 255}.${application & 255}`;
}

function writtenSegment(index: number, addresses: readonly string[]): string[] {
  if (addresses.length === 0) return [`  segment-${index}: { addresses: [] }`];
  if (index % 2 === 0)
    return [`  segment-${index}:`, '    addresses:', ...addresses.map((address) => `      - ${quotedIfNeeded(address)}`)];
  const rows: string[] = [];
  for (let i = 0; i < addresses.length; i += PER_LINE)
    rows.push(
      addresses
        .slice(i, i + PER_LINE)
        .map(quotedIfNeeded)
        .join(', '),
    );
  return [`  segment-${index}: { addresses: [${rows.join(',\n      ')}] }`];
}

function writtenRule(index: number, segmentCount: number, { http }: Size): string[] {
  const action = index % 5 === 4 ? 'deny' : 'allow';
  const from = http ? 'any' : `segment-${index % segmentCount}`;
  const lines = [`      - name: rule-${index}`, `        from: [${from}]`];
  if (http) lines.push(`        http: { paths: [/service-${index}/*] }`);
  else if (index % 3 !== 0) lines.push(`        protocols: [${index % 3 === 1 ? 'h2' : 'mysql'}]`);
  return [...lines, `        action: ${action}`];
}

/** An address that begins or ends with a colon reads as a mapping unless it is in quotes. */
function quotedIfNeeded(address: string): string {
  return address.includes('::') ? `"${address}"` : address;
}

if (import.meta.main) {
  const [prefixes = 100_000, rules = 10_000, applications = 1_000] = process.argv.slice(2).map(Number);
  process.stdout.write(writtenScene({ prefixes, rules, applications, guardrails: 50 }));
}
