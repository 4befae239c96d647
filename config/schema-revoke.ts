/** What becomes of open flows that a changed policy no longer allows. */
import * as z from 'zod';
import { REVOKE_DRAIN_MS_DEFAULT } from './defaults.ts';
import type { OnRevoke } from './match.ts';
import { choice, durationText, noted } from './schema-leaves.ts';

const EXPECTS = 'cut, finish, drain, or a mapping such as { drain: 30s }';

export const onRevoke = noted(
  z
    .union([choice(['cut', 'finish', 'drain']), z.strictObject({ drain: durationText().describe('How long open flows may take to end.') })])
    .transform((shape): OnRevoke => {
      if (shape === 'drain') return { kind: 'drain', withinMs: REVOKE_DRAIN_MS_DEFAULT };
      return typeof shape === 'string' ? { kind: shape } : { kind: 'drain', withinMs: shape.drain };
    }),
  { expects: EXPECTS },
);
