import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FlowRecord } from '../../proxy/observe/view.ts';
import { flow } from '../admin/fake-node.ts';
import { bulkhead } from './bulkhead.ts';

const ALLOWED = 'a1b2c3-0-00000001';
const DENIED = 'a1b2c3-0-00000002';

const FLOW = flow(ALLOWED, { source: '192.0.2.7:40000', path: '/basket', generation: 3 });
const FLOWS: Record<string, FlowRecord> = {
  [ALLOWED]: FLOW,
  [DENIED]: { ...FLOW, receipt: DENIED, verdict: 'deny', rule: 'default', tier: 'default', server: null, status: 403, ended_by: 'policy' },
};

/** Stands in for the admin endpoint of a node. */
let node: Server;
let admin: string;

beforeAll(async () => {
  node = createServer((request, response) => {
    const found = FLOWS[request.url?.replace('/api/v1/flows/', '') ?? ''];
    response.writeHead(request.url?.includes('trouble') ? 500 : found === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(request.url?.includes('trouble') ? 'Bad Gateway' : JSON.stringify(found ?? { error: 'not-found' }));
  });
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
  admin = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
});
afterAll(() => node.close());

describe('explain of a receipt', () => {
  it.each([
    [ALLOWED, 0],
    [DENIED, 0],
  ])('%s prints the flow as JSON and ends with %i', async (receipt, status) => {
    const ended = await bulkhead(['explain', receipt, '--admin', admin, '--json']);
    expect(JSON.parse(ended.stdout)).toEqual(FLOWS[receipt]);
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status, stderr: '' });
  });

  it('prints it for people', async () => {
    const { stdout } = await bulkhead(['explain', DENIED, '--admin', `${admin}/`]);
    expect(stdout).toMatch(/^deny: 192\.0\.2\.7:40000 to 127\.0\.0\.1:8080 \(http GET shop\.example \/basket\)$/m);
    expect(stdout).toMatch(/rule +default, generation 3/);
    expect(stdout).toMatch(/server +none was dialled, status 403/);
  });

  it.each([
    ['a1b2c3-0-00000009', /knows no flow with the receipt a1b2c3-0-00000009/],
    ['trouble-0-00000001', /answered 500 without JSON: is it the admin endpoint/],
    ['no/such/file.yaml', /is neither a file nor a receipt/],
  ])('%s is answered in one line, with status 2', async (receipt, message) => {
    const ended = await bulkhead(['explain', receipt, '--admin', admin]);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).toMatch(/^bulkhead: [^\n]+\n$/);
    expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status: 2, stdout: '' });
  });
});
