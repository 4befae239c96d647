/** The nearest right spelling of a wrong word. Used on errors only: it costs a comparison with every candidate. */

/** Longer words are compared by their beginning; a name cannot be longer than this anyway. */
const WORD_CHARACTERS_MAX = 64;

/** A file with very many names gets a suggestion from the first of them rather than a slow one. */
const CANDIDATES_MAX = 20_000;

/** The candidate at the smallest distance, if it is near enough to be what was meant: an edit for every three letters. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.slice(0, WORD_CHARACTERS_MAX).toLowerCase();
  let bestDistance = Math.floor(wanted.length / 3) + 1;
  let best: string | undefined;
  let seen = 0;
  for (const candidate of candidates) {
    if (++seen > CANDIDATES_MAX) break;
    // A word that was cut short or drawn out (`warning` for `warn`) is nearer than its length says.
    if (wanted.length >= 3 && candidate.length >= 3 && bestDistance > 1 && (candidate.startsWith(wanted) || wanted.startsWith(candidate))) {
      bestDistance = 1;
      best = candidate;
      continue;
    }
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue;
    const distance = editDistance(wanted, candidate.slice(0, WORD_CHARACTERS_MAX).toLowerCase());
    if (distance < bestDistance) {
      bestDistance = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein's distance in which two neighbouring letters exchanged count as one edit (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) distance = Math.min(distance, before[j - 2]! + 1);
      row.push(distance);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
