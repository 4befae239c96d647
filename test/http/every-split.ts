/** Scanners see bytes as they come, so each table entry is looked at whole, and with every prefix of it before. */
import { expect } from 'vitest';

type Outcome = string | null;

/** `scan` answers null for a whole and good head, `incomplete`, or a fault. Answers what it says of the whole. */
export function everySplit(bytes: Buffer, headEnd: number | null, scan: (bytes: Buffer, length: number) => Outcome): Outcome {
  const whole = scan(bytes, bytes.length);
  // What lies behind the bytes that have come is left over from others: nothing may hang on it.
  const dirty = Buffer.alloc(bytes.length + 64, 'A');
  for (let length = 0; length < bytes.length; length++) {
    bytes.copy(dirty, 0, 0, length);
    const outcome = scan(dirty, length);
    const at = `${length} of ${JSON.stringify(bytes.toString('latin1'))}`;
    if (whole === null && length < (headEnd ?? bytes.length)) expect(outcome, at).toBe('incomplete');
    if (whole !== null) expect(outcome, at).not.toBeNull();
  }
  return whole;
}
