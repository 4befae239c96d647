/** `bulkhead top`: the busiest applications and flows, renewed each second in a terminal; one plain reading anywhere else. */
import type { Status } from '../admin/schemas.ts';
import { type AdminClient, type AdminWords, withAdmin } from './admin-client.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';
import { SORTS, type Sort, screen } from './top-screen.ts';

export interface TopWords extends AdminWords {
  readonly sort: string;
}

const RENEW_MS = 1_000;
const ESC = '\u001b[';
/** The other screen, so that what stood in the terminal is there again afterwards; and no cursor. */
const ENTER = `${ESC}?1049h${ESC}?25l`;
const LEAVE = `${ESC}?25h${ESC}?1049l`;
const HOME = `${ESC}H`;
const LINE_END = `${ESC}K`;
const SCREEN_END = `${ESC}J`;

export function top(words: TopWords): Promise<number> {
  const sort = SORTS.find((known) => known === words.sort);
  if (sort === undefined) throw new CommandError(`--sort ${JSON.stringify(words.sort)} is not one of ${SORTS.join(', ')}`);
  return withAdmin(words, async (client) => {
    const first = await client.get<Status>('/api/v1/status');
    if (words.json) printJson(first);
    else if (process.stdout.isTTY && process.stdin.isTTY) return live(client, first, sort);
    else print(...screen(first, sort, null, null));
    return EXIT.yes;
  });
}

/** Until q or Ctrl-C. Whatever ends it, the terminal is given back as it was. */
async function live(client: AdminClient, first: Status, startSort: Sort): Promise<number> {
  const { stdin, stdout } = process;
  let sort = startSort;
  let seen = first;
  let trouble = '';
  const done = Promise.withResolvers<void>();
  const draw = () => {
    const rows = Math.max(4, stdout.rows);
    const lines = screen(seen, sort, Math.max(20, stdout.columns), rows);
    if (trouble !== '') lines[lines.length - 1] = trouble.slice(0, stdout.columns);
    stdout.write(`${HOME}${lines.map((line) => `${line}${LINE_END}`).join('\r\n')}${SCREEN_END}`);
  };
  const renew = async () => {
    try {
      seen = await client.get<Status>('/api/v1/status');
      trouble = '';
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      trouble = error.message;
    }
    draw();
  };
  const pressed = (key: Buffer) => {
    const letter = key.toString('latin1');
    if (letter === 'q' || letter === '\u0003') done.resolve();
    sort = SORTS.find((known) => known[0] === letter) ?? sort;
    draw();
  };
  stdout.write(ENTER);
  const giveBack = () => stdout.write(LEAVE);
  process.on('exit', giveBack);
  try {
    stdin.setRawMode(true);
    stdin.on('data', pressed);
    stdin.on('end', () => done.resolve());
    stdout.on('resize', draw);
    process.once('SIGTERM', () => done.resolve());
    draw();
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void renew().then(
        () => (busy = false),
        (error: unknown) => done.reject(error as Error),
      );
    }, RENEW_MS);
    await done.promise.finally(() => clearInterval(timer));
    return EXIT.yes;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stdin.off('data', pressed);
    stdout.off('resize', draw);
    process.off('exit', giveBack);
    giveBack();
  }
}
