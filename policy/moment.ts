/** The same policy at other moments: an image can be asked for the one that holds at a given time. */
import type { Document } from '../config/document.ts';
import type { Image } from './image.ts';
import { inactivity, nextChange, rulesOf } from './schedule.ts';

/** Images kept for one document; a file's tests name few moments, a batch of flows may name many. */
const IMAGES_KEPT = 16;

/** Spans of time in which the same rules hold, kept for one document: schedules are looked at once a span, not once a question. */
const SPANS_KEPT = 256;

interface Span {
  from: number;
  /** The end, not included. */
  readonly to: number;
  readonly key: string;
}

interface Origin {
  readonly spans: Span[];
  /** Images by which rules do not hold. */
  readonly images: Map<string, Image>;
  readonly build: (now: number | null) => Image;
  readonly document: Document;
  readonly now: number | null;
}

/** Kept beside images, not in them: an image that another thread has attached knows no document. */
const origins = new WeakMap<Image, Origin>();

/** To be called by `compile` alone. */
export function rememberOrigin(image: Image, build: Origin['build'], document: Document, now: number | null): void {
  const spans: Span[] = [];
  const origin = { images: new Map([[keyAt(spans, document, image.hasPeriods ? now : null), image]]), build, document, now, spans };
  origins.set(image, origin);
}

/**
 * The policy as it is at a moment (null: with every rule, whatever its schedule). The same image where nothing differs. Throws for an image
 * that was not compiled in this thread and has rules with a schedule or an end.
 */
export function imageAt(image: Image, now: number | null): Image {
  const origin = origins.get(image);
  if (origin === undefined) {
    if (image.hasPeriods) throw new Error('an attached image knows its own moment only');
    return image;
  }
  const key = keyAt(origin.spans, origin.document, image.hasPeriods ? now : null);
  let found = origin.images.get(key);
  if (found === undefined) {
    found = origin.build(now);
    origins.set(found, origin);
    const [oldest] = origin.images.keys();
    if (origin.images.size >= IMAGES_KEPT) origin.images.delete(oldest!);
    origin.images.set(key, found);
  }
  return found;
}

/** What `inactiveAt` says, from a span that is known where there is one. */
function keyAt(spans: Span[], document: Document, now: number | null): string {
  // Without a moment every rule holds.
  if (now === null) return '';
  const known = spans.find(({ from, to }) => from <= now && now < to);
  if (known !== undefined) return known.key;
  const key = inactiveAt(document, now);
  const to = nextChange(document, now) ?? Number.POSITIVE_INFINITY;
  const later = spans.find((span) => span.to === to);
  if (later !== undefined) later.from = now;
  else if (spans.push({ from: now, to, key }) > SPANS_KEPT) spans.shift();
  return key;
}

function inactiveAt(document: Document, now: number | null): string {
  const numbers: number[] = [];
  let number = 0;
  for (const rule of rulesOf(document)) {
    if (inactivity(rule, now) !== null) numbers.push(number);
    number++;
  }
  return numbers.join();
}
