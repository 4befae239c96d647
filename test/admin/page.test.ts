/** The status page in a real browser. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Admin, type AdminControl, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { Problems } from '../../proxy/observe/problems.ts';
import type { Archive } from '../../proxy/versions/archive.ts';
import type { Orders } from '../../proxy/versions/orders.ts';
import type { Quarantine } from '../../proxy/versions/record.ts';
import type { ListedVersion } from '../../proxy/versions/store.ts';
import {
  application,
  applicationCounters,
  countersOf,
  documentOf,
  type FakeState,
  fakeNode,
  flow,
  histogramOf,
  pool,
  rule,
  ruleCounters,
  server,
  tcp,
} from './fake-node.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** A renewal every two seconds, and patience for a busy machine. */
const PATIENCE = { timeout: 15_000, interval: 50 };

let browser: Browser;
const admins: Admin[] = [];
const pages: Page[] = [];

/** Under CI a missing browser is a failure, not a skip. */
const skipped = !existsSync(CHROMIUM) && process.env.CI !== 'true';

function busy(allowed: number): Partial<FakeState> {
  return {
    document: documentOf({
      pools: [pool('web')],
      applications: [application('shop', { rules: [rule('customers', 'allow')] }), application('mail', { enforcement: 'observe' })],
    }),
    counters: countersOf({
      applications: [
        applicationCounters('shop', {
          flowsOpened: allowed + 7,
          flowsActive: 2,
          flowsRevoked: 3,
          bytesIn: 5_000,
          responses: [0, 90, 0, 0, 10],
          requestDuration: histogramOf([0, 0, 0, 9]),
        }),
        applicationCounters('mail'),
      ],
      rules: [
        ruleCounters('shop', 'customers', { allow: allowed }),
        ruleCounters('shop', 'default', { deny: 7 }),
        ruleCounters('mail', 'default', { wouldDeny: 3 }),
      ],
      limits: [{ application: 'shop', limit: 'connections-per-source', hits: 12 }],
      nodeLimits: [
        { limit: 'bulk-memory', hits: 34_567 },
        { limit: 'farewells', hits: 0 },
      ],
    }),
    servers: [
      server('web', '127.0.0.1:9001', { flowsActive: 2, weight: 3 }),
      server('web', '127.0.0.1:9002', {
        up: false,
        checkDetail: 'connection refused',
        dials: { ...server('', '').dials, connected: 4, refused: 12 },
      }),
    ],
    live: [
      flow('live-1', { path: `/${HOSTILE}`, host: HOSTILE, ended_by: null }),
      flow('live-2', { method: null, host: null, path: null, protocol: 'postgres', ended_by: null }),
    ],
    ended: [flow('denied-1', { verdict: 'deny', rule: 'default', reason: 'no rule allows this source', server: null })],
  };
}

/** A node that was changed twice, the second time with a note, and that has a quarantine. */
function ordersOf(note: string, until = Date.now() + 60_000, reason = 'scans the shop', overFile = false): Orders {
  const version = (number: number, more: Partial<ListedVersion>): ListedVersion => ({
    version: number,
    generation: number,
    time: new Date(Date.now() - 90_000).toISOString(),
    cause: 'start',
    author: 'node',
    from: 'file',
    note: null,
    sha256: '',
    bytes: 1,
    confirm: null,
    recorded: true,
    summary: { text: 'first version' } as ListedVersion['summary'],
    ...more,
  });
  const quarantine: Quarantine = {
    name: 'quarantine-8',
    target: { kind: 'address', text: '198.51.100.7/32' },
    reason,
    author: 'bo',
    since: Date.now(),
    until,
  };
  const inForce = { generation: 7, version: 9, cause: 'apply', author: 'ana', note, summary: 'first version', recorded: true } as const;
  const time = new Date(Date.now() - 90_000).toISOString();
  const orders: Pick<Orders, 'overlay' | 'confirmBy' | 'onEvent' | 'inForce'> & { archive: Pick<Archive, 'versions'> } = {
    archive: { versions: () => [version(9, { cause: 'apply', author: 'ana', note }), version(8, {})] },
    overlay: () => ({ quarantines: [quarantine], servers: [] }),
    confirmBy: () => new Date(Date.now() + 60_000).toISOString(),
    onEvent: () => () => undefined,
    inForce: () => ({ ...inForce, time, over_file: overFile ? { version: 9, author: 'ana', time } : null }),
  };
  // The page asks for no more than these.
  return orders as unknown as Orders;
}

async function open(more: Partial<FakeState>, options: Parameters<Browser['newPage']>[0] = {}, control?: AdminControl, seconds = 2) {
  const node = fakeNode(more);
  const history = new History();
  const before = countersOf({ applications: node.state.counters.applications.map((a) => applicationCounters(a.application)) });
  for (let ago = seconds; ago > 1; ago--) history.record(before, Date.now() - ago * 1000);
  history.record(node.state.counters, Date.now() - 1000);
  const admin = await openAdmin(tcp('127.0.0.1', 0), node.view, history, silent, control);
  admins.push(admin);
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
  pages.push(page);
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).host));
  await page.goto(`http://${admin.address().text}/`);
  await page.waitForSelector('main');
  return { ...node, admin, page, complaints, asked };
}

const textOf = (page: Page, selector: string) => page.locator(selector).innerText();

describe.skipIf(skipped)('the status page (skipped without /usr/bin/chromium)', () => {
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  }, 60_000);

  afterAll(() => browser?.close());

  afterEach(async () => {
    for (const page of pages.splice(0)) await page.close();
    for (const admin of admins.splice(0)) await admin.close();
  });

  it('shows the node, its applications, servers, flows and denials', async () => {
    const { page, complaints, asked, admin } = await open(busy(4321));
    expect(await textOf(page, 'header')).toMatch(/edge-1[\s\S]*Ready[\s\S]*generation 7[\s\S]*all 2 on this policy/);
    const shop = await textOf(page, '.applications tbody tr:nth-child(1)');
    for (const part of ['shop', '✓ 4,321 allowed', '✕ 7 denied', 'customers', '127.0.0.1:8080', '▲ 10 %']) expect(shop).toContain(part);
    const mail = await textOf(page, '.applications tbody tr:nth-child(2)');
    for (const part of ['observe only', '◇ 3 would be denied']) expect(mail).toContain(part);
    const down = await textOf(page, '.servers tbody tr:nth-child(2)');
    for (const part of ['127.0.0.1:9002', 'Down', 'connection refused', '12 refused']) expect(down).toContain(part);
    const denied = await textOf(page, '.denials');
    for (const part of ['denied-1', 'default', 'no rule allows this source']) expect(denied).toContain(part);
    expect(await page.locator('.denials a').getAttribute('href')).toBe('/api/v1/flows/denied-1');
    expect(await page.locator('.flows tbody tr').count()).toBe(2);
    expect(await page.locator('canvas').count()).toBe(2);
    expect(await page.locator('.u-over').count()).toBe(2);
    // No word from the browser: no script error, no refused resource, nothing that the content security policy stopped.
    expect(complaints).toEqual([]);
    expect(new Set(asked)).toEqual(new Set([admin.address().text]));
  });

  it('shows revoked flows and the limits that were hit', async () => {
    const { page } = await open(busy(1));
    expect(await textOf(page, '.figures')).toContain('3 revoked');
    expect(await textOf(page, '.applications tbody tr:nth-child(1)')).toContain('3 revoked');
    const limits = await page.locator('.limits li').allInnerTexts();
    expect(limits).toEqual(['34.6K bulk-memory the node', '12 connections-per-source shop']);
    expect(await page.locator('.versions, .quarantines').count()).toBe(0);
  });

  it('shows who changed what, and who is cut off beside the file', async () => {
    const { page, complaints } = await open(busy(1), {}, { orders: ordersOf(HOSTILE), tokens: [] });
    const rows = await page.locator('.versions tbody tr').allInnerTexts();
    expect(rows.length).toBe(2);
    for (const part of ['9', 'apply', 'taken back at', 'ana', HOSTILE]) expect(rows[0]).toContain(part);
    for (const part of ['8', 'start', 'node', 'first version']) expect(rows[1]).toContain(part);
    expect(await page.locator('.versions a').first().getAttribute('href')).toBe('/api/v1/versions/9');
    const cut = await textOf(page, '.quarantines tbody');
    for (const part of ['198.51.100.7/32', 'bo', 'quarantine-8', 'scans the shop']) expect(cut).toContain(part);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('renders what comes from traffic as text', async () => {
    const { page, complaints } = await open(busy(1));
    expect(await textOf(page, '.flows tbody tr:nth-child(1)')).toContain(HOSTILE);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.title()).toBe('edge-1 · Bulkhead');
    expect(complaints).toEqual([]);
  });

  it('renews itself', async () => {
    const { page, state, complaints } = await open(busy(1000));
    Object.assign(state, busy(2000), { generation: 8, live: [] });
    await expect.poll(() => textOf(page, '.applications'), PATIENCE).toContain('2,000 allowed');
    expect(await textOf(page, 'header')).toContain('generation 8');
    expect(await page.locator('.flows').count()).toBe(0);
    expect(await textOf(page, 'main')).toContain('curl -i http://127.0.0.1:8080/');
    expect(complaints).toEqual([]);
  });

  it('says so when the node is not ready, and when a reload was refused', async () => {
    const { page } = await open({
      ready: { ready: false, reason: 'worker 2 is behind' },
      refusal: { at: Date.now() - 65_000, problems: [`bulkhead.yaml:3:1 ${HOSTILE}`] },
    });
    expect(await textOf(page, 'header')).toContain('Not ready');
    expect(await textOf(page, 'main')).toMatch(
      /worker 2 is behind[\s\S]*last reload was refused, 1 min ago[\s\S]*Generation 7 stays in force[\s\S]*bulkhead\.yaml:3:1 <img/i,
    );
    expect(await textOf(page, '#announcement')).toContain('not ready: worker 2 is behind');
    expect(await page.title()).toBe('not ready · edge-1 · Bulkhead');
  });

  it('says what is wrong with a node that is ready: its badge, a notice, and since when', async () => {
    const problems = new Problems(() => Date.now() - 65_000);
    problems.set('pool', 'web', 'no server takes flows; look at their checks');
    problems.set('journal', '', `12 records were dropped, because the disk is full ${HOSTILE}`);
    const { page, complaints } = await open({ ...busy(1), problems });
    await expect.poll(() => textOf(page, 'header')).toContain('Ready, with problems');
    const notice = await textOf(page, '.notice');
    for (const part of ['2 problems', 'Pool web: no server takes flows', 'for 1 min', 'Journal: 12 records were dropped', HOSTILE])
      expect(notice).toContain(part);
    expect(await textOf(page, '#announcement')).toContain('with problems. 12 records were dropped');
    expect(await page.title()).toBe('problems · edge-1 · Bulkhead');
    expect(complaints).toEqual([]);
  });

  it.each([
    [[0, 1, 0, 0, 99], 'Ready, with problems', /Application shop: 99 % of the answers of the last minute/],
    [[0, 99, 0, 0, 1], 'Ready', null],
  ] as const)('answers %j: %s', async (responses, badge, said) => {
    const counters = countersOf({ applications: [applicationCounters('shop', { responses })] });
    const { page } = await open({ counters });
    await expect.poll(() => textOf(page, '.state'), PATIENCE).toMatch(new RegExp(`${badge}$`));
    if (said === null) expect(await page.locator('.notice').count()).toBe(0);
    else expect(await textOf(page, '.notice')).toMatch(said);
  });

  it('tells the zone of a moment, and its day where that is not today', async () => {
    const control = { orders: ordersOf('short', Date.now() + 3 * 86_400_000), tokens: [] };
    const { page } = await open(busy(1), { timezoneId: 'Asia/Tokyo', locale: 'en-GB' }, control);
    expect(await textOf(page, '.quarantines tbody')).toMatch(/\d+ \w+, \d\d:\d\d:\d\d GMT\+9\s+for [23] d/);
    expect(await textOf(page, '.versions tbody')).toMatch(/taken back at (?:\d+ \w+, )?\d\d:\d\d:\d\d GMT\+9/);
  });

  it('says which version is in force, and gives seconds where ticks are seconds apart', async () => {
    const { page } = await open(busy(1), {}, { orders: ordersOf('short'), tokens: [] }, 30);
    expect(await textOf(page, 'header')).toMatch(/version 9, generation 7, \d+ h/);
    // The axis is drawn on a canvas, so that its texts are caught where they are drawn.
    await page.addInitScript(CATCH_TICKS);
    await page.reload();
    await page.waitForSelector('canvas');
    await expect.poll(() => page.evaluate<number>('new Set(ticks).size'), PATIENCE).toBeGreaterThan(1);
    const ticks = await page.evaluate<string[]>('ticks');
    expect(ticks.filter((tick) => !/^\d\d:\d\d:\d\d$/.test(tick))).toEqual([]);
  });

  it('says that the file differs from what is in force, which is no problem', async () => {
    const { page } = await open(busy(1), {}, { orders: ordersOf('short', undefined, undefined, true), tokens: [] });
    expect(await textOf(page, '.notice')).toMatch(
      /file differs from what is in force[\s\S]*Version 9, by ana, 1 min ago, is not in the file/,
    );
    expect(await textOf(page, '.state')).toMatch(/Ready$/);
  });

  it.each([1440, 1100, 1000, 375])('gives addresses their room beside a long reason, %i pixels wide', async (width) => {
    const reason = 'somebody wrote a great deal here, because it had to be said at some length, '.repeat(8);
    const { page } = await open(busy(1), { viewport: { width, height: 800 } }, { orders: ordersOf(reason, undefined, reason), tokens: [] });
    const pieces = await page.locator('.piece').allInnerTexts();
    expect(pieces).toEqual(expect.arrayContaining(['198.51.100.7/32', 'bo', 'ana', '127.0.0.1:9001', '127.0.0.2:40000']));
    expect(await page.evaluate<string[]>(BROKEN_PIECES)).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
  });

  it('says that the node does not answer, keeps its last word, and finds it again', async () => {
    const { page, admin, view } = await open(busy(77));
    const address = admin.address();
    await admin.close();
    await expect.poll(() => textOf(page, 'header'), PATIENCE).toContain('No answer');
    expect(await textOf(page, 'main')).toMatch(/has not answered since \d\d:\d\d:\d\d[\s\S]*77 allowed/);
    expect(await textOf(page, '#announcement')).toContain('does not answer');
    admins.push(await openAdmin(tcp('127.0.0.1', address.port!), view, new History(), silent));
    await expect.poll(() => textOf(page, 'header'), PATIENCE).toContain('Ready');
    expect(await textOf(page, 'main')).not.toContain('has not answered');
  });

  it('teaches where there is nothing to show', async () => {
    const { page, complaints } = await open({});
    const text = await textOf(page, 'main');
    for (const part of ['No application yet', 'vips: [127.0.0.1:8080]', 'No pool yet', 'denied by default', 'Nothing travels right now'])
      expect(text).toContain(part);
    expect(complaints).toEqual([]);
  });

  it('draws forty applications on demand and filters them', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `service-${i}`);
    const { page } = await open({
      counters: countersOf({ applications: names.map((name) => applicationCounters(name)) }),
      live: Array.from({ length: 200 }, (_, i) => flow(`r${i}`)),
    });
    const rows = page.locator('.applications tbody tr');
    expect(await rows.count()).toBe(12);
    await page.getByRole('button', { name: 'Show all 40' }).click();
    expect(await rows.count()).toBe(40);
    await page.getByRole('searchbox').fill('service-39');
    expect(await rows.allInnerTexts()).toEqual([expect.stringContaining('service-39')]);
    await page.getByRole('button', { name: 'Show 50' }).click();
    expect(await page.locator('.flows tbody tr').count()).toBe(50);
  });

  it.each([
    ['light', 1440],
    ['light', 375],
    ['dark', 1440],
    ['dark', 375],
  ] as const)('fits and is legible: %s, %i pixels', async (colorScheme, width) => {
    const { page, complaints } = await open(busy(5), { colorScheme, viewport: { width, height: 800 } });
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    const low = await page.evaluate<string[]>(LOW_CONTRAST);
    expect(low).toEqual([]);
    const dark = await page.evaluate<boolean>(`getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128`);
    expect(dark).toBe(colorScheme === 'dark');
    // Cells that are laid out as blocks are still cells to a screen reader.
    expect(await page.getByRole('cell').count()).toBeGreaterThan(10);
    expect(complaints).toEqual([]);
  });

  it('can be walked with the keyboard', async () => {
    const { page } = await open(busy(5));
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>(`getComputedStyle(document.activeElement).outlineStyle`)).toBe('solid');
    expect(await page.evaluate<string>('document.activeElement.tagName')).toBe('A');
  });
});

/** The times that are written on a canvas. */
const CATCH_TICKS = `(() => {
  globalThis.ticks = [];
  const fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    if (/^\\d\\d:\\d\\d/.test(text)) ticks.push(text);
    return fillText.call(this, text, ...rest);
  };
})()`;

/** Addresses and authors that take more than one line. */
const BROKEN_PIECES = `[...document.querySelectorAll('.piece')]
  .filter((element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return new Set([...range.getClientRects()].map((rect) => Math.round(rect.top / 8))).size > 1;
  })
  .map((element) => element.textContent)`;

/** Every text on the page whose contrast to what lies behind it is below 4.5 to 1 (WCAG 2.2 §1.4.3). */
const LOW_CONTRAST = `(() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e !== null; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const texts = document.createTreeWalker(document.getElementById('page'), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    if (text.data.trim() === '') continue;
    const [a, b] = [channels(getComputedStyle(text.parentElement).color), behind(text.parentElement)].map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(text.data.trim() + ' ' + ratio.toFixed(2));
  }
  return low;
})()`;
