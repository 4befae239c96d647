/**
 * Who has something to do at the end of the loop's turn: sessions of HTTP/2, so that all answers of a turn leave in one write and nothing is delivered
 * to anybody in the middle of a write of its own; and the outbox.
 */

export interface TurnTaker {
  scheduled: boolean;
  turn(): void;
}

let waiting: TurnTaker[] = [];
let spare: TurnTaker[] = [];
let armed = false;

/** hot: `turn` is called once, later. */
export function takeTurn(taker: TurnTaker): void {
  if (taker.scheduled) return;
  taker.scheduled = true;
  waiting.push(taker);
  if (armed) return;
  armed = true;
  setImmediate(run);
}

function run(): void {
  armed = false;
  const turns = waiting;
  waiting = spare;
  for (const taker of turns) {
    taker.scheduled = false;
    taker.turn();
  }
  turns.length = 0;
  spare = turns;
}
