/**
 * The policy by addresses and ports as Kubernetes NetworkPolicies, one an application: the pods labelled with its name take flows from the
 * sources that its VIPs let in, and no others. As plain data, for a YAML stream.
 */
import type { Exportable, OpenVip } from './export.ts';
import { type AddressRange, coverOf } from './space/cover.ts';

export interface NetworkPolicies {
  readonly policies: readonly object[];
  readonly left: readonly string[];
}

const LABEL = 'app.kubernetes.io/name';

export function toKubernetes({ vips, applications, cluster, left }: Exportable): NetworkPolicies {
  const taken = new Set<string>();
  const policies = applications.map((name) => {
    const own = vips.filter(({ application }) => application === name);
    const rules = bySources(own).map(({ sources, ports }) => ({
      from: blocksOf(sources),
      ports: ports.map((port) => ({ protocol: 'TCP', port })),
    }));
    // One label an application, so that no policy selects the pods of another.
    const label = objectName(name, taken);
    const lane = cluster.length === 0 ? [] : [{ from: blocksOf(cluster) }];
    return {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: label, annotations: { 'bulkhead/application': name } },
      spec: {
        podSelector: { matchLabels: { [LABEL]: label } },
        policyTypes: ['Ingress'],
        ingress: [...lane, ...rules],
      },
    };
  });
  return {
    policies,
    left: [
      ...left,
      `A NetworkPolicy selects pods, not VIPs: label the pods of an application with ${LABEL}, and let them listen on the ports of its VIPs.`,
      'VRRP cannot be named in a NetworkPolicy: where nodes speak it, accept it outside of these policies.',
      'NetworkPolicies add up: another one that selects the same pods can let more in.',
    ],
  };
}

/** Ports with equal sources together. Ports without sources stay closed, as what no rule lets in does. Both families of a port are one. */
function bySources(vips: readonly OpenVip[]): { sources: AddressRange[]; ports: number[] }[] {
  const byPort = new Map<number, Map<4 | 6, readonly AddressRange[]>>();
  for (const { endpoint, sources } of vips) {
    const families = byPort.get(endpoint.port) ?? new Map<4 | 6, readonly AddressRange[]>();
    // Rules name ports, not addresses, so that VIPs of one port and family have the same sources.
    byPort.set(endpoint.port, families.set(endpoint.address.family, sources));
  }
  const groups = new Map<string, { sources: AddressRange[]; ports: number[] }>();
  for (const [port, families] of [...byPort].sort((a, b) => a[0] - b[0])) {
    const sources = [...(families.get(4) ?? []), ...(families.get(6) ?? [])];
    if (sources.length === 0) continue;
    const key = sources.map(({ family, first, last }) => `${family} ${first} ${last}`).join();
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { sources, ports: [port] });
    else group.ports.push(port);
  }
  return [...groups.values()];
}

function blocksOf(ranges: readonly AddressRange[]): object[] {
  return [...coverOf(ranges, 4), ...coverOf(ranges, 6)].map(({ prefix, except }) => ({
    ipBlock: { cidr: prefix.text, ...(except.length === 0 ? {} : { except: except.map(({ text }) => text) }) },
  }));
}

/** A name as objects may have it (RFC 1123 label), made distinct by a number. */
function objectName(name: string, taken: Set<string>): string {
  const plain =
    name
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50) || 'application';
  let candidate = plain;
  for (let i = 2; taken.has(candidate); i++) candidate = `${plain}-${i}`;
  taken.add(candidate);
  return candidate;
}
