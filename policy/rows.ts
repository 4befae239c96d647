/** The rows of programs in an image: which program of a list holds at an atom. */
export interface Rows {
  readonly rowStarts: Uint32Array;
  readonly rowAtoms: Uint32Array;
  readonly rowPrograms: Uint32Array;
}

/** hot. The program of a row that holds at an atom. */
export function programAt(image: Rows, row: number, atom: number): number {
  let low = image.rowStarts[row]!;
  let high = image.rowStarts[row + 1]! - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (image.rowAtoms[middle]! <= atom) low = middle;
    else high = middle - 1;
  }
  return image.rowPrograms[low]!;
}
