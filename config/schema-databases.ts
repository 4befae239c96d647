/** What rules and tests say about flows to databases. */
import * as z from 'zod';
import type { DatabaseMatch } from './match.ts';
import { noted, refuse } from './schema-leaves.ts';

const NAME_CHARACTERS = /^[^\u0000-\u001f\u007f]{1,256}$/;

/** Text as it is, or what texts begin with. */
function patterns(expects: string, fold: (text: string) => string = (text) => text) {
  const pattern = z.string().transform((text, context) => {
    if (!NAME_CHARACTERS.test(text)) return refuse(context, text, { code: 'wrong-value', message: `must be ${expects}` });
    if (!text.slice(0, -1).includes('*')) return fold(text);
    return refuse(context, text, { code: 'wrong-value', message: 'may hold "*" only at its end, where it stands for any rest' });
  });
  return z.array(noted(pattern, { expects })).min(1).max(1_024).optional();
}

const USER = 'the name of a user such as ana, or a beginning such as "app_*"';
const DATABASE = 'the name of a database such as orders, or a beginning such as "shop_*"';
const KEY = 'a key such as session:1, or a beginning such as "session:*"';
const COMMAND = 'a command such as get, a subcommand such as "config set", or a beginning such as "z*"';

/** As Redis names them in its access lists: lower case, and a subcommand behind "|". */
export function foldCommand(text: string): string {
  return text.toLowerCase().replace(/ +/, '|');
}

const list = (example: string) => `a list such as ${example} with at least one entry; without the key, everything matches`;
const lower = (text: string) => text.toLowerCase();

export const postgres = z.strictObject({
  users: noted(patterns(USER).describe('Users, as the client names itself; "*" at the end stands for any rest.'), {
    expects: list('[ana, "app_*"]'),
  }),
  databases: noted(patterns(DATABASE).describe('Databases; "*" at the end stands for any rest.'), { expects: list('[orders]') }),
});

export const mysql = z.strictObject({
  users: noted(patterns(USER).describe('Users; "*" at the end stands for any rest.'), { expects: list('[ana, "app_*"]') }),
  schemas: noted(patterns(DATABASE, lower).describe('Schemas, in any case; "*" at the end stands for any rest.'), {
    expects: list('[orders]'),
  }),
});

export const redis = z.strictObject({
  users: noted(patterns(USER).describe('Users; "default" is who names none. "*" at the end stands for any rest.'), {
    expects: list('[default, "app_*"]'),
  }),
  commands: noted(
    patterns(COMMAND, foldCommand).describe('Commands in any case; config stands for all its subcommands, "*" at the end for any rest.'),
    { expects: list('[get, mget, "config get"]') },
  ),
  keys: noted(
    patterns(KEY).describe(
      'Keys; "*" at the end stands for any rest. A denial takes a command with any such key, an allowance only such keys.',
    ),
    { expects: list('["session:*"]') },
  ),
});

export type DatabaseShapes = {
  readonly postgres?: z.output<typeof postgres> | undefined;
  readonly mysql?: z.output<typeof mysql> | undefined;
  readonly redis?: z.output<typeof redis> | undefined;
};

/** The first of the databases that a rule speaks of. */
export function databaseMatch({ postgres: first, mysql: second, redis: third }: DatabaseShapes): DatabaseMatch | null {
  if (first !== undefined) return { kind: 'postgres', users: first.users ?? null, databases: first.databases ?? null };
  if (second !== undefined) return { kind: 'mysql', users: second.users ?? null, schemas: second.schemas ?? null };
  if (third === undefined) return null;
  return { kind: 'redis', users: third.users ?? null, commands: third.commands ?? null, keys: third.keys ?? null };
}

const text = (expects: string) => noted(z.string().regex(/^[^\u0000]{0,512}$/), { expects });

/** The fields of a flow, for tests. */
export const databaseFields = {
  user: text('the name of a user such as ana').optional().describe('The user of the database.'),
  database: text('the name of a database such as orders').optional().describe('The database (postgres).'),
  schema: text('the name of a schema such as orders').optional().describe('The schema (mysql); "" is none.'),
  command: noted(text('a command such as get').transform(foldCommand), { expects: 'a command such as get, or "config set"' })
    .optional()
    .describe('The command (redis).'),
  keys: noted(z.array(text('a key such as session:1')).max(1_024).optional().describe('The keys of the command (redis).'), {
    expects: 'a list of keys such as ["session:1"]',
  }),
};
