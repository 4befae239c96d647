/** Segments: their members by name, and no circle among them. */
import type { Segment } from './document.ts';
import { warnOfHostBits } from './host-bits.ts';
import type { Names } from './names.ts';
import { shown } from './problem.ts';
import type { FileShape } from './schema.ts';
import type { Report, Tree } from './tree.ts';
import { valueAt } from './tree.ts';

export function resolveSegments(file: FileShape, names: Names, original: Tree, report: Report): Segment[] {
  const segments = Object.entries(file.segments).map(([name, shape]): Segment => {
    const path = ['segments', name];
    const keys = Object.keys(valueAt(original, path) as object);
    if (keys.every((key) => key === 'except' || key === 'unknown') && !report.isLost(path))
      report.error(
        'missing-key',
        path,
        `The segment ${shown(name)} does not say who belongs to it. Add addresses:, identities:, pool: or segments:.`,
        {
          side: 'key',
        },
      );
    for (const [key, database] of [
      ['countries', 'country'],
      ['asns', 'asn'],
    ] as const) {
      if (shape[key] === undefined || file.process.geo[database] !== undefined || report.isLost(['process', 'geo', database])) continue;
      const message = `Nothing tells whose addresses these are. Name a database in MaxMind's format (.mmdb) under process.geo.${database}: process: { geo: { ${database}: ./GeoLite2-${database === 'asn' ? 'ASN' : 'Country'}.mmdb } }.`;
      report.error('missing-database', [...path, key], message, { side: 'key' });
    }
    warnOfHostBits(shape.addresses ?? [], [...path, 'addresses'], report);
    const single = shape.pool !== undefined && names.hasPool(shape.pool, [...path, 'pool']) ? [shape.pool] : [];
    const several = (shape.pools ?? []).filter((pool, index) => names.hasPool(pool, [...path, 'pools', index]));
    return {
      name,
      addresses: shape.addresses ?? [],
      pools: [...new Set([...single, ...several])],
      segments: (shape.segments ?? []).filter((segment, index) => names.hasSegment(segment, [...path, 'segments', index])),
      countries: [...new Set(shape.countries ?? [])],
      asns: [...new Set(shape.asns ?? [])],
      dns: [...new Set(shape.dns ?? [])],
      identities: [...new Set(shape.identities ?? [])],
      unknown: shape.unknown,
      except: names.terms(shape.except ?? [], [...path, 'except']),
      place: report.place(path, 'key'),
    };
  });
  reportCycles(segments, report);
  return segments;
}

/** One problem a circle, at the first segment of it. Without recursion: a chain may be as long as the file. */
function reportCycles(segments: readonly Segment[], report: Report): void {
  const next = new Map(segments.map((segment) => [segment.name, referred(segment)]));
  const done = new Set<string>();
  for (const { name: start } of segments) {
    const trail: { name: string; rest: string[] }[] = [];
    const onTrail = new Set<string>();
    const enter = (name: string) => {
      trail.push({ name, rest: [...(next.get(name) ?? [])] });
      onTrail.add(name);
    };
    if (!done.has(start)) enter(start);
    while (trail.length > 0) {
      const here = trail.at(-1)!;
      const name = here.rest.pop();
      if (name === undefined) {
        trail.pop();
        onTrail.delete(here.name);
        done.add(here.name);
      } else if (onTrail.has(name)) {
        const circle = [...trail.map((step) => step.name).slice(trail.findIndex((step) => step.name === name)), name];
        const said = circle.length > 12 ? [...circle.slice(0, 6), '…', ...circle.slice(-5)] : circle;
        report.error(
          'name-cycle',
          ['segments', name],
          `The segments ${said.join(' → ')} refer to each other in a circle. Remove one of these references.`,
          { side: 'key' },
        );
      } else if (!done.has(name)) enter(name);
    }
  }
}

function referred(segment: Segment): string[] {
  return [...segment.segments, ...segment.except.flatMap((term) => (term.kind === 'segment' ? [term.name] : []))];
}
