/** Places of servers in shared memory, where names have more addresses than there are places. */
import { expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { compile } from '../../policy/compile.ts';
import { Planner } from '../../proxy/node/planner.ts';
import { ServerNames } from '../../proxy/node/server-names.ts';
import { createNodeLimits, readNodeLimits } from '../../proxy/shared/node-limits.ts';
import { SERVERS_MAX, ServerTable } from '../../proxy/shared/servers.ts';
import { TlsFiles } from '../../proxy/tls/tls-files.ts';
import { documentOf } from './harness.ts';

const NAMES = 140;
const PER_NAME = 64;
const log = { info() {}, warn() {}, error() {}, debug() {}, flush() {} };

it('addresses beyond the places that there are do without one, which is counted; the file is not refused for them', () => {
  const servers = Array.from({ length: NAMES }, (_, i) => `n${i}.internal:80`);
  const document = documentOf(
    `version: 1\nnetworks: { outbound: [10.0.0.0/8] }\npools: { p: { servers: [10.255.0.1:80, ${servers.join(', ')}] } }\n`,
  );
  const known = new Map(
    Array.from({ length: NAMES }, (_, i) => [
      `n${i}.internal`,
      Array.from({ length: PER_NAME }, (__, j) => parseAddress(`10.0.${i}.${j}`)!),
    ]),
  );
  const resolved = new ServerNames(
    log,
    () => false,
    () => null,
  ).resolve(document, known);
  const table = new ServerTable(1);
  const planner = new Planner(table, new TlsFiles({ changed() {}, trouble() {} }, Date.now, null));
  const hits = () => readNodeLimits(createNodeLimits(1)).find(({ limit }) => limit === 'server-places')!.hits;
  const before = hits();
  const plan = planner.plan(resolved.document, compile(document), 1);
  expect(resolved.document.pools[0]!.servers).toHaveLength(1 + NAMES * PER_NAME);
  expect(plan.pools[0]!.servers).toHaveLength(SERVERS_MAX);
  expect(hits() - before).toBe(1 + NAMES * PER_NAME - SERVERS_MAX);
});

it('dials to an address are remembered under its name when the name has it no longer', () => {
  const document = documentOf('version: 1\npools: { p: { servers: [web.internal:80] } }\n');
  const names = new ServerNames(
    log,
    () => false,
    () => null,
  );
  const at = (address: string) => names.resolve(document, new Map([['web.internal', [parseAddress(address)!]]])).document;
  const table = new ServerTable(1);
  const planner = new Planner(table, new TlsFiles({ changed() {}, trouble() {} }, Date.now, null));
  const image = compile(document);
  for (const [i, address] of ['127.0.0.2', '127.0.0.3', '127.0.0.4'].entries()) {
    const resolved = at(address);
    planner.plan(resolved, image, i + 1);
    planner.settle(resolved);
    for (let dials = 0; dials <= i; dials++) table.dialled(0, planner.rowOf('p', `${address}:80`)!, 'connected');
  }
  expect(planner.goneDials('p', 'web.internal:80')).toMatchObject({ connected: 3, refused: 0 });
  planner.settle(documentOf('version: 1\n'));
  expect(planner.goneDials('p', 'web.internal:80')).toMatchObject({ connected: 0 });
});
