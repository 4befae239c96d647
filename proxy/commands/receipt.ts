/** `bulkhead explain RECEIPT`: asks the running node about a flow that happened. */
import type { FlowRecord } from '../observe/view.ts';
import { type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { journalTrouble } from './journal-trouble.ts';
import { printable } from './table.ts';

/** A receipt is a short id; what has a dot or a slash is a path. */
const RECEIPT = /^[0-9A-Za-z_-]{6,64}$/;

export function looksLikeReceipt(text: string): boolean {
  return RECEIPT.test(text);
}

/**
 * Prints the flow. Who looks a flow up has found it, whatever its verdict was: the exit status is yes. A node that does not answer, or does
 * not know the receipt, ends the command.
 */
export function explainReceipt(receipt: string, words: AdminWords): Promise<number> {
  return withAdmin(words, async (client) => {
    const { status, value } = await client.ask<FlowRecord>('GET', `/api/v1/flows/${encodeURIComponent(receipt)}`, {}, [200, 404]);
    if (status === 404) {
      const trouble = await journalTrouble(client);
      throw new CommandError(
        `${client.where} knows no flow with the receipt ${receipt}: it never happened there, or the journal has let it go${trouble === null ? '' : `; ${trouble}`}`,
      );
    }
    if (words.json) printJson(value);
    else print(...describe(value));
    return EXIT.yes;
  });
}

function describe(flow: FlowRecord): string[] {
  const facts = [flow.protocol, flow.method, flow.host, flow.path].filter((fact) => fact !== null).join(' ');
  const bytes = `${flow.bytes_in} bytes in, ${flow.bytes_out} bytes out, ${flow.duration_ms} ms`;
  const lines = [
    `${flow.verdict ?? 'no verdict'}: ${flow.source} to ${flow.vip}${facts === '' ? '' : ` (${facts})`}`,
    `  application  ${flow.application}`,
    `  rule         ${flow.rule ?? 'none'}${flow.tier === null || flow.tier === flow.rule ? '' : ` (${flow.tier})`}, generation ${flow.generation}`,
    `  when         ${flow.time}`,
    `  server       ${flow.server ?? 'none was dialled'}${flow.status === null ? '' : `, status ${flow.status}`}`,
    `  carried      ${bytes}`,
    `  ended by     ${flow.ended_by ?? 'nobody: it is live'}${flow.reason === null ? '' : `, ${flow.reason}`}`,
  ];
  return lines.map(printable);
}
