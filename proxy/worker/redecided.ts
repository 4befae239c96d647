/** What a session answers that was asked again: it goes on, was cut, or has begun (or goes on) to come to its end. */
export const KEPT = 0;
export const CUT = 1;
export const DRAINING = 2;
export type Redecided = typeof KEPT | typeof CUT | typeof DRAINING;
