import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { lint } from '../../policy/lint.ts';
import { type Done, formatView, type Outcome, type Refused } from '../../proxy/versions/orders.ts';
import { VersionStore } from '../../proxy/versions/store.ts';
import { freePort, startServer, type TestServer, until } from '../node/harness.ts';
import { ANA, type Controlled, connectFrom, sourcesOf, startControlled } from './controlled.ts';

const running: Controlled[] = [];
const folders: string[] = [];
let echo: TestServer;
let other: TestServer;
let port: number;

beforeEach(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  other = await startServer((socket) => socket.pipe(socket));
  port = await freePort();
});
afterEach(async () => {
  for (const node of running.splice(0)) await node.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  await echo.close();
  await other.close();
});

async function started(yaml: string, directory: string | null = null): Promise<Controlled> {
  const node = await startControlled(yaml, directory);
  running.push(node);
  return node;
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'bulkhead-control-'));
  folders.push(made);
  return made;
}

/** `rules` in flow style; one VIP, two servers. */
function file(rules: string, more = ''): string {
  return `
version: 1
process: { workers: 1 }
segments: { office: { addresses: [127.0.0.2/32, 127.0.0.3/32] } }
pools: { echo: { servers: [127.0.0.1:${echo.port}, 127.0.0.1:${other.port}] } }
applications:
  tcp: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [${rules}] }
silence: [{ code: pool-without-health, reason: nothing dies here }]
${more}`;
}

const ALL = '{ name: all, action: allow }';
const OFFICE = '{ name: office, from: [office], action: allow }';

function done(outcome: Outcome): Done {
  expect(outcome).toMatchObject({ ok: true });
  return outcome as Done;
}
function refused(outcome: Outcome | Refused | { ok: boolean }): Refused {
  expect(outcome.ok).toBe(false);
  return outcome as Refused;
}

/** A connection on which bytes have come back: the flow is live in its worker. */
async function liveFrom(source: string) {
  const client = await connectFrom(source, port);
  client.socket.write('hi');
  await until(() => client.text() === 'hi');
  return client;
}

describe('an apply', () => {
  it('is a version with author, note, texts and what it changes', async () => {
    const { apply, control } = await started(file(ALL));
    const applied = done(await apply(file(OFFICE), { note: 'office only' }));
    expect(applied).toMatchObject({ version: 2, recorded: true, confirm_by: null });
    expect(applied.summary.rules).toEqual({ added: ['tcp/office'], removed: ['tcp/all'], changed: [] });
    expect(control.archive.versions().map(({ version, cause, author, note }) => [version, cause, author, note])).toEqual([
      [2, 'apply', 'ana', 'office only'],
      [1, 'start', 'node', null],
    ]);
    expect((await control.archive.version(2))?.sources).toEqual(sourcesOf(file(OFFICE)));
    expect((await control.archive.audit(1))[0]).toMatchObject({
      who: 'ana',
      role: 'admin',
      from: ANA.from,
      action: 'apply',
      outcome: 'done',
      version: 2,
    });
  });

  it('on a generation that is no longer in force is refused with what is', async () => {
    const { apply, control } = await started(file(ALL));
    const { generation } = control.inForce();
    const both = await Promise.all([
      apply(file(OFFICE), { expected: generation }),
      apply(file(ALL), { expected: generation, note: 'mine' }),
    ]);
    expect(both.map(({ ok }) => ok)).toEqual([true, false]);
    expect(refused(both[1])).toMatchObject({ code: 'stale-generation', in_force: { version: 2, author: 'ana' } });
    expect(done(await apply(file(ALL), { expected: control.inForce().generation })).version).toBe(3);
  });

  it('of a bad document changes nothing and names every problem at its place', async () => {
    const { apply, control, node } = await started(file(ALL));
    const answer = refused(await apply(file('{ name: a, action: alow }, { name: b, from: [offce], action: allow }')));
    expect(answer.problems?.map(({ code, at, suggestion }) => [code, at, suggestion])).toEqual(
      [
        ['wrong-value', 'bulkhead.yaml:7:93', 'allow'],
        ['dangling-name', 'bulkhead.yaml:7:119', 'office'],
      ].map(([code, at, suggestion]) => [code, expect.stringMatching(`${String(at).split(':')[0]}:7:`), suggestion]),
    );
    expect([control.inForce().version, node.policy().generation, node.applies().refused]).toEqual([1, 1, 1]);
    expect((await control.archive.audit(1))[0]).toMatchObject({ action: 'apply', outcome: 'refused' });
  });

  it('of another process: says that a restart is needed for it', async () => {
    const { apply } = await started(file(ALL));
    expect(done(await apply(file(OFFICE))).warnings).toEqual([]);
    const other = file(ALL).replace('workers: 1', 'workers: 2');
    expect(done(await apply(other)).warnings).toContainEqual(expect.objectContaining({ code: 'restart-needed', path: '/process' }));
  });

  it('of a document whose tests fail is refused, each test a problem', async () => {
    const { apply } = await started(file(ALL));
    const tests = `tests: [{ from: 127.0.0.9, to: "127.0.0.1:${port}", expect: allow }]`;
    expect(refused(await apply(file(OFFICE, tests))).problems).toMatchObject([{ code: 'test-failed' }]);
  });
});

describe('a dry run', () => {
  it('names exactly the flows that the apply then ends, and changes nothing', async () => {
    const { apply, control, node } = await started(file(ALL));
    const clients = await Promise.all([2, 3, 4, 5, 5, 6].map((n) => liveFrom(`127.0.0.${n}`)));
    const run = await control.dryRun(sourcesOf(file(OFFICE)));
    if (!run.ok) throw new Error(run.message);
    expect(run).toMatchObject({ generation: 1, effect: { live: { flows: 6, cut: 4, kept: 2, undecided: 0, truncated: false } } });
    expect(run.effect.live.groups.map(({ source, rule, was, count }) => [source, rule, was, count]).sort()).toEqual([
      ['127.0.0.4', 'default', 'all', 1],
      ['127.0.0.5', 'default', 'all', 2],
      ['127.0.0.6', 'default', 'all', 1],
    ]);
    expect([node.policy().generation, clients.every((client) => client.isOpen())]).toEqual([1, true]);
    const named = run.effect.live.groups.flatMap(({ receipts }) => receipts).sort();

    expect(done(await apply(file(OFFICE)))).toMatchObject({ revoked: 4, kept: 2 });
    await until(async () => (await node.recentFlows(100, false)).length === 4);
    const cut = (await node.recentFlows(100, false)).map(({ receipt }) => receipt).sort();
    expect(cut).toEqual(named);
    expect((await node.liveFlows(100)).map(({ source }) => source.split(':')[0]).sort()).toEqual(['127.0.0.2', '127.0.0.3']);
    for (const { socket } of clients) socket.destroy();
  });

  it('tells which flows of the last hour would have been denied, and which denied ones allowed', async () => {
    const { apply, control, node } = await started(file(OFFICE));
    for (const source of ['127.0.0.2', '127.0.0.7']) {
      const client = await connectFrom(source, port);
      client.socket.end('x');
      await client.closed;
    }
    await until(async () => (await node.recentFlows(10, false)).length === 2);
    const run = await control.dryRun(sourcesOf(file('{ name: seven, from: [127.0.0.7], action: allow }')));
    if (!run.ok) throw new Error(run.message);
    expect(run.effect.recent).toMatchObject({ flows: 2, denied: 1, allowed: 1 });
    expect(run.effect.recent.groups).toMatchObject([{ source: '127.0.0.2', was: 'office', rule: 'default', count: 1 }]);
    expect(run.effect.recent.allowedGroups).toMatchObject([{ source: '127.0.0.7', was: 'default', rule: 'seven' }]);
    expect(run.summary.text).toContain('seven');
    void apply;
  });

  it('of a bad document is refused as the apply would be', async () => {
    const { control } = await started(file(ALL));
    expect(refused(await control.dryRun(sourcesOf('version: 2')))).toMatchObject({ code: 'bad-document' });
  });
});

describe('a version that waits for its confirmation', () => {
  it('is taken back in time, and says so', async () => {
    const { apply, control, events } = await started(file(ALL));
    expect(done(await apply(file(OFFICE), { confirmMs: 150 })).confirm_by).not.toBeNull();
    expect(refused(await apply(file(ALL)))).toMatchObject({ code: 'unconfirmed' });
    await until(() => control.inForce().version === 3);
    expect(control.archive.versions()[0]).toMatchObject({
      cause: 'revert',
      author: 'node',
      note: expect.stringMatching(/version 2 was not confirmed/),
    });
    expect((await control.archive.version(3))?.sources).toEqual(sourcesOf(file(ALL)));
    expect(events.map(({ kind }) => kind)).toContain('reverted');
  });

  it('stays where it is confirmed', async () => {
    const { apply, control } = await started(file(ALL));
    await apply(file(OFFICE), { confirmMs: 60_000 });
    expect(done(await control.confirm(ANA)).confirm_by).toBeNull();
    expect(control.confirmBy()).toBeNull();
    expect(refused(await control.confirm(ANA)).code).toBe('nothing-to-confirm');
    expect(done(await apply(file(ALL))).ok).toBe(true);
  });

  it('goes with a rollback', async () => {
    const { apply, control } = await started(file(ALL));
    await apply(file(OFFICE), { confirmMs: 60_000 });
    done(await control.rollback({ version: null, note: null, expected: null, actor: ANA }));
    expect([control.confirmBy(), (await control.archive.version(3))?.sources]).toEqual([null, sourcesOf(file(ALL))]);
  });
});

describe('a guard', () => {
  it('takes a change back that makes denials rise, and says which', async () => {
    const { apply, control, events } = await started(file(ALL));
    for (let i = 0; i < 5; i++) (await liveFrom('127.0.0.9')).socket.destroy();
    await apply(file(OFFICE), { guard: { rise: 0.05, forMs: 30_000 } });
    for (let i = 0; i < 25; i++) await (await connectFrom('127.0.0.9', port)).closed;
    await until(() => control.inForce().version === 3, 8_000);
    expect(events.find(({ kind }) => kind === 'guarded')?.detail).toMatch(/^denials rose from 0\.0% to 100\.0% of flows/);
    expect((await control.archive.version(3))?.sources).toEqual(sourcesOf(file(ALL)));
  }, 15_000);
});

describe('a rollback', () => {
  it('brings the texts of a version back as a new one', async () => {
    const { apply, control } = await started(file(ALL));
    await apply(file(OFFICE));
    await apply(file('{ name: third, action: allow }'));
    expect(done(await control.rollback({ version: 1, note: 'oops', expected: null, actor: ANA })).version).toBe(4);
    expect(await control.archive.version(4)).toMatchObject({ cause: 'rollback', note: 'oops', sources: sourcesOf(file(ALL)) });
    done(await control.rollback({ version: null, note: null, expected: null, actor: ANA }));
    expect((await control.archive.version(5))?.sources).toEqual(sourcesOf(file('{ name: third, action: allow }')));
    expect(refused(await control.rollback({ version: 99, note: null, expected: null, actor: ANA })).code).toBe('no-such-version');
  });
});

describe('a quarantine', () => {
  it('cuts the source off at once, whatever the rules and tests say, and ends by itself', async () => {
    const tests = `tests: [{ from: 127.0.0.2, to: "127.0.0.1:${port}", expect: allow }]`;
    const { control, node } = await started(file(ALL, tests));
    const [cut, kept] = [await liveFrom('127.0.0.2'), await liveFrom('127.0.0.4')];
    const placed = await control.quarantine({ target: '127.0.0.2', forMs: 400, reason: 'worm', actor: ANA });
    expect(placed).toMatchObject({ ok: true, version: 2, revoked: 1, kept: 1, quarantine: { name: 'quarantine-2' } });
    await cut.closed;
    expect(kept.isOpen()).toBe(true);
    await (await connectFrom('127.0.0.2', port)).closed;
    await until(async () => (await node.recentFlows(9, true)).some(({ rule, tier }) => rule === 'quarantine-2' && tier === 'guardrail'));
    await until(() => control.overlay().quarantines.length === 0);
    expect(control.archive.versions()[0]).toMatchObject({ cause: 'expiry', author: 'node' });
    (await liveFrom('127.0.0.2')).socket.destroy();
    kept.socket.destroy();
  });

  it('of a segment stays through applies, holds the segment in the document, and is released by name or source', async () => {
    const { apply, control } = await started(file(ALL));
    await control.quarantine({ target: 'office', forMs: 60_000, reason: 'r', actor: ANA });
    done(await apply(file(OFFICE)));
    await (await connectFrom('127.0.0.2', port)).closed;
    const without = file(ALL).replace(/segments:.*\n/, '');
    expect(refused(await apply(without)).message).toMatch(/office is under quarantine \(quarantine-2/);
    expect(refused(await control.release({ name: 'offce', actor: ANA })).message).toMatch(/quarantine-2 \(office\)/);
    done(await control.release({ name: 'office', actor: ANA }));
    done(await apply(without));
  });

  it('never cuts the cluster lane', async () => {
    const { control } = await started(file(ALL, 'networks: { cluster: [127.0.0.2/32] }'));
    const member = await liveFrom('127.0.0.2');
    expect(await control.quarantine({ target: '127.0.0.0/8', forMs: 60_000, reason: 'r', actor: ANA })).toMatchObject({
      revoked: 0,
      kept: 1,
    });
    expect(member.isOpen()).toBe(true);
    member.socket.destroy();
  });

  it.each([
    ['offce', /Did you mean office/],
    ['300.1.1.1', /neither an address, a prefix nor a segment/],
  ])('of %s is refused', async (target, message) => {
    const { control } = await started(file(ALL));
    expect(refused(await control.quarantine({ target, forMs: 1, reason: 'r', actor: ANA })).message).toMatch(message);
  });
});

describe('a server that an operator drains', () => {
  it('takes no new flow until it is up again, through changes of the document', async () => {
    const { apply, control } = await started(file(ALL));
    const order = { pool: 'echo', server: `127.0.0.1:${echo.port}`, actor: ANA };
    expect(await control.setServer({ ...order, state: 'drain' })).toMatchObject({ ok: true, override: { state: 'drain' } });
    const before = echo.sockets.length;
    for (let i = 0; i < 4; i++) (await liveFrom('127.0.0.2')).socket.destroy();
    done(await apply(file(OFFICE)));
    for (let i = 0; i < 4; i++) (await liveFrom('127.0.0.2')).socket.destroy();
    expect(echo.sockets.length - before).toBe(0);
    expect(await control.setServer({ ...order, state: 'up' })).toMatchObject({ ok: true, override: null });
    for (let i = 0; i < 4; i++) (await liveFrom('127.0.0.2')).socket.destroy();
    expect(echo.sockets.length - before).toBeGreaterThan(0);
    expect(refused(await control.setServer({ ...order, server: '127.0.0.1:1', state: 'drain' })).code).toBe('no-such-server');
  });
});

describe('an order that finds everything as it wants it', () => {
  it('answers so with the version in force, and makes none', async () => {
    const { apply, control } = await started(file(ALL));
    const before = control.inForce();
    const again = done(await apply(file(ALL), { note: 'once more', confirmMs: 60_000 }));
    expect(again).toMatchObject({
      changed: false,
      version: 1,
      generation: before.generation,
      confirm_by: null,
      recorded: true,
      audited: true,
    });
    const server = { pool: 'echo', server: `127.0.0.1:${echo.port}`, actor: ANA };
    expect(await control.setServer({ ...server, state: 'up' })).toMatchObject({ ok: true, changed: false, version: 1, override: null });
    expect(await control.setServer({ ...server, state: 'drain' })).toMatchObject({ ok: true, changed: true, version: 2 });
    expect(await control.setServer({ ...server, state: 'drain' })).toMatchObject({
      changed: false,
      version: 2,
      override: { state: 'drain' },
    });
    expect(control.inForce()).toMatchObject({ version: 2, generation: before.generation + 1 });
    expect((await control.archive.audit(1))[0]).toMatchObject({ outcome: 'done', detail: expect.stringMatching(/^nothing changed: /) });
    expect(done(await apply(`${file(ALL)}# a word more`))).toMatchObject({ changed: true, version: 3 });
  });
});

describe('the file', () => {
  it('is told from what was applied over it, and says whose version it replaces', async () => {
    const { apply, control, logged } = await started(file(ALL));
    expect(control.inForce()).toMatchObject({ version: 1, cause: 'start', over_file: null });
    done(await apply(file(OFFICE)));
    const quarantine = { target: '127.0.0.9', forMs: 60_000, reason: 'worm', actor: ANA };
    expect(await control.quarantine(quarantine)).toMatchObject({ ok: true, version: 3 });
    expect(control.inForce()).toMatchObject({ version: 3, over_file: { version: 2, author: 'ana' } });
    const sources = sourcesOf(file(ALL));
    done(await control.reload(sources, parseDocument(sources)));
    const note =
      /^the file replaces version 2, applied by ana on [^ ]+, which the file does not hold: rule added: tcp\/all; rule removed: tcp\/office$|^the file replaces version 2, applied by ana on/;
    expect(control.inForce()).toMatchObject({ version: 4, cause: 'signal', note: expect.stringMatching(note), over_file: null });
    expect((await control.archive.audit(1))[0]).toMatchObject({ action: 'signal', detail: expect.stringMatching(note) });
    expect(logged).toContainEqual({ level: 'warn', message: expect.stringMatching(note) });
    done(await control.reload(sources, parseDocument(sources)));
    expect(control.inForce()).toMatchObject({ version: 5, note: null });
  });

  it('that is refused is a problem of the node until it is mended', async () => {
    const { control, node } = await started(file(ALL));
    const reload = (text: string) => control.reload(sourcesOf(text), parseDocument(sourcesOf(text)));
    expect(refused(await reload(file('{ name: a, action: alow }'))).problems?.map(formatView)).toEqual([
      expect.stringMatching(/^bulkhead\.yaml:\d+:\d+: error\[wrong-value\]: .+; did you mean "allow"\?$/),
    ]);
    expect(node.problems.list()).toMatchObject([{ kind: 'reload', message: expect.stringContaining('last good policy stays in force') }]);
    expect(node.problems.counts().get('reload')).toBe(1);
    done(await reload(file(ALL)));
    expect(node.problems.list()).toEqual([]);
  });
});

describe('orders on a disk that takes nothing', () => {
  it('come into force, say that they are not kept, and are kept when it is well', async () => {
    const directory = folder();
    const { apply, control, node } = await started(file(ALL), directory);
    const aside = `${directory}.aside`;
    folders.push(aside);
    renameSync(directory, aside);
    writeFileSync(directory, '');
    const order = { target: '127.0.0.9', forMs: 60_000, reason: 'worm', actor: ANA };
    expect(await control.quarantine(order)).toMatchObject({ ok: true, version: 2, recorded: false, audited: false });
    expect(done(await apply(file(OFFICE)))).toMatchObject({ version: 3, recorded: false, audited: false });
    expect(control.inForce()).toMatchObject({ version: 3, recorded: false });
    expect(control.archive.unwritten()).toEqual({ audit: 2, versions: 2 });
    expect(node.problems.list()).toMatchObject([
      { kind: 'audit', message: expect.stringMatching(/ENOTDIR.*2 entries wait in memory/) },
      { kind: 'version', message: expect.stringMatching(/^Versions 2, 3 are in memory only/) },
    ]);
    rmSync(directory);
    renameSync(aside, directory);
    await until(() => control.archive.unwritten().versions + control.archive.unwritten().audit === 0);
    expect(node.problems.list()).toEqual([]);
    expect(await control.archive.verifyAudit()).toMatchObject({ ok: true, entries: 3 });
    expect((await VersionStore.open(directory)).newest).toMatchObject({ version: 3, overlay: { quarantines: [{ name: 'quarantine-2' }] } });
  });

  it('give no number out again that the audit knows, though the versions were lost', async () => {
    const directory = folder();
    const first = await started(file(ALL), directory);
    done(await first.apply(file(OFFICE)));
    running.splice(running.indexOf(first), 1);
    await first.stop();
    rmSync(join(directory, 'version-00000002.json'));
    const { control } = await started(file(OFFICE), directory);
    expect(control.inForce().version).toBe(3);
  });
});

describe('a quarantine', () => {
  it('that is wide asks first; a dry run does not', async () => {
    const { control } = await started(file(ALL).replace('segments: {', 'segments: { wide: { addresses: [0.0.0.0/1] },'));
    const order = { forMs: 60_000, reason: 'worm', actor: ANA };
    for (const [target, message] of [
      ['10.0.0.0/7', /^10\.0\.0\.0\/7 is more than a \/8 of IPv4: .*--yes/],
      ['2000::/31', /is more than a \/32 of IPv6/],
      ['wide', /^The segment wide holds 0\.0\.0\.0\/1, which is more than a \/8/],
    ] as const) {
      expect(await control.dryQuarantine({ ...order, target })).toMatchObject({ ok: true, effect: { live: { flows: 0 } } });
      expect(refused(await control.quarantine({ ...order, target }))).toMatchObject({
        code: 'too-wide',
        message: expect.stringMatching(message),
      });
    }
    expect(control.inForce().version).toBe(1);
    expect(await control.quarantine({ ...order, target: '10.0.0.0/8' })).toMatchObject({ ok: true, version: 2 });
    expect(await control.quarantine({ ...order, target: '10.0.0.0/7', wide: true })).toMatchObject({ ok: true, version: 3 });
  });

  it('that is rehearsed tells which flows it would end, and ends none', async () => {
    const { control } = await started(file(ALL));
    const client = await liveFrom('127.0.0.2');
    const order = { target: '127.0.0.2', forMs: 60_000, reason: 'worm', actor: ANA };
    expect(await control.dryQuarantine(order)).toMatchObject({ ok: true, effect: { live: { flows: 1, cut: 1 } } });
    expect([client.isOpen(), control.overlay().quarantines]).toEqual([true, []]);
    client.socket.destroy();
  });
});

describe('what a document is warned of', () => {
  it('is what check says of it, applied and rehearsed alike', async () => {
    const { apply, control } = await started(file(ALL));
    const odd = file(`${ALL}, { name: never, from: [127.0.0.9], action: deny }`);
    const codes = (warnings: readonly { code: string }[]) => warnings.map(({ code }) => code);
    const rehearsed = await control.dryRun(sourcesOf(odd));
    const loaded = parseDocument(sourcesOf(odd));
    const checked = loaded.ok ? lint(loaded.document, { now: Date.now() }).map(({ code }) => code) : [];
    expect(checked.length).toBeGreaterThan(1);
    expect(rehearsed.ok && codes(rehearsed.warnings)).toEqual(checked);
    expect(codes(done(await apply(odd)).warnings)).toEqual(checked);
  });
});

describe('a start', () => {
  const quick = { version: null, note: null, expected: null, actor: ANA };

  async function restarted(node: Controlled, yaml: string, directory: string): Promise<Controlled> {
    running.splice(running.indexOf(node), 1);
    await node.stop();
    return started(yaml, directory);
  }

  it('begins with the file, and makes no new version of what is the newest already', async () => {
    const directory = folder();
    const first = await started(file(ALL), directory);
    const second = await restarted(first, file(ALL), directory);
    expect(second.control.archive.versions().length).toBe(1);
    const changed = await restarted(second, file(OFFICE), directory);
    expect(changed.control.archive.versions().map(({ cause }) => cause)).toEqual(['start', 'start']);
    expect(await changed.control.archive.verifyAudit()).toMatchObject({ ok: true, entries: 3 });
  });

  it('begins with a later version, where the file is as it was; with the file, where it was changed', async () => {
    const directory = folder();
    const first = await started(file(ALL), directory);
    done(await first.apply(file(OFFICE)));
    const second = await restarted(first, file(ALL), directory);
    expect(second.node.policy().document.applications[0]?.rules[0]?.name).toBe('office');
    expect(second.logged.some(({ message }) => message.startsWith('starting on version 2'))).toBe(true);
    expect(done(await second.apply(file(ALL), { expected: 1 })).version).toBe(3);
    done(await second.control.rollback(quick));
    const third = await restarted(second, file('{ name: new, action: allow }'), directory);
    expect(third.node.policy().document.applications[0]?.rules[0]?.name).toBe('new');
  });

  it('goes back where nobody has confirmed, and keeps quarantines', async () => {
    const directory = folder();
    const first = await started(file(ALL), directory);
    done(await first.apply(file(OFFICE), { confirmMs: 60_000 }));
    await first.control.quarantine({ target: '127.0.0.2', forMs: 60_000, reason: 'r', actor: ANA });
    const second = await restarted(first, file(ALL), directory);
    expect(second.node.policy().document.applications[0]?.rules[0]?.name).toBe('all');
    expect([second.control.confirmBy(), second.control.overlay().quarantines.map(({ name }) => name)]).toEqual([null, ['quarantine-3']]);
    await (await connectFrom('127.0.0.2', port)).closed;
  });
});
