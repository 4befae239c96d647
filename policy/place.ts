import type { Place } from '../config/document.ts';

/** `file:line:column`, as editors open it; null stays null. */
export function placeText(place: Place | null): string | null {
  return place === null ? null : `${place.file}:${place.line}:${place.column}`;
}
