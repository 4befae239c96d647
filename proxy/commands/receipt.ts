/** `bulkhead explain RECEIPT`: asks the running node about a flow that happened. */
import { Agent, request } from 'undici';
import type { FlowRecord } from '../observe/view.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';

const ANSWER_TIMEOUT_MS = 5000;
/** A receipt is a short id; what has a dot or a slash is a path. */
const RECEIPT = /^[0-9A-Za-z_-]{6,64}$/;

export function looksLikeReceipt(text: string): boolean {
  return RECEIPT.test(text);
}

/** Prints the flow; the exit status is its verdict. A node that does not answer, or does not know the receipt, ends the command. */
export async function explainReceipt(receipt: string, admin: string, json: boolean): Promise<number> {
  const flow = await askNode(receipt, admin);
  if (json) printJson(flow);
  else print(...describe(flow));
  return flow.verdict === 'deny' ? EXIT.no : EXIT.yes;
}

async function askNode(receipt: string, admin: string): Promise<FlowRecord> {
  const url = flowUrl(receipt, admin);
  const dispatcher = new Agent({ connect: { timeout: ANSWER_TIMEOUT_MS }, allowH2: false });
  try {
    const options = {
      dispatcher,
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
      headers: { accept: 'application/json' },
    };
    const { statusCode, body } = await request(url, options);
    if (statusCode === 404) {
      await body.dump();
      throw new CommandError(`${admin} knows no flow with the receipt ${receipt}: it never happened there, or the journal has let it go`);
    }
    if (statusCode !== 200) throw new CommandError(`${url} answered ${statusCode}: is it the admin endpoint of a bulkhead node?`);
    return (await body.json()) as FlowRecord;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
    throw new CommandError(
      `no answer from ${admin} (${reason}): is the node running, and is that its process.admin.listen? Say where with --admin`,
      EXIT.wrong,
      {
        cause: error,
      },
    );
  } finally {
    await dispatcher.destroy();
  }
}

function flowUrl(receipt: string, admin: string): URL {
  const base = URL.parse(admin.endsWith('/') ? admin : `${admin}/`);
  if (base === null || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
    throw new CommandError(`--admin ${JSON.stringify(admin)} is not an http address: write http://127.0.0.1:9900`);
  }
  return new URL(`api/v1/flows/${encodeURIComponent(receipt)}`, base);
}

function describe(flow: FlowRecord): string[] {
  const facts = [flow.protocol, flow.method, flow.host, flow.path].filter((fact) => fact !== null).join(' ');
  const bytes = `${flow.bytes_in} bytes in, ${flow.bytes_out} bytes out, ${flow.duration_ms} ms`;
  return [
    `${flow.verdict ?? 'no verdict'}: ${flow.source} to ${flow.vip}${facts === '' ? '' : ` (${facts})`}`,
    `  application  ${flow.application}`,
    `  rule         ${flow.rule ?? 'none'}${flow.tier === null || flow.tier === flow.rule ? '' : ` (${flow.tier})`}, generation ${flow.generation}`,
    `  when         ${flow.time}`,
    `  server       ${flow.server ?? 'none was dialled'}${flow.status === null ? '' : `, status ${flow.status}`}`,
    `  carried      ${bytes}`,
    `  ended by     ${flow.ended_by ?? 'nobody: it is live'}${flow.reason === null ? '' : `, ${flow.reason}`}`,
  ];
}
