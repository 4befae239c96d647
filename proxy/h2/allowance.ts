/**
 * What one connection may do at most, beside carrying messages. Frames that cost their sender nothing and their receiver work are let
 * through at the pace of honest peers; beyond it the connection is ended with ENHANCE_YOUR_CALM (RFC 9113 §10.5).
 */

/** A bucket: so many at once, and so many a second after. Time is passed in. */
export class Allowance {
  private readonly burst: number;
  private readonly perSecond: number;
  private left: number;
  private since: number;

  constructor(burst: number, perSecond: number) {
    this.burst = burst;
    this.perSecond = perSecond;
    this.left = burst;
    this.since = 0;
  }

  /** hot: takes one; false where there is none. `now` in milliseconds. */
  take(now: number): boolean {
    if (now > this.since) {
      this.left = Math.min(this.burst, this.left + ((now - this.since) * this.perSecond) / 1000);
      this.since = now;
    }
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}

/**
 * Streams that the peer gives up, or that end by its fault (CVE-2023-44487, CVE-2025-8671): a browser gives up a page full of requests at once, and a
 * gRPC client one a call that it no longer needs. The figures are those of nghttp2.
 */
export const RESETS_BURST = 1_000;
export const RESETS_PER_SECOND = 33;

/**
 * Streams that we give up in one session with a server, for clients that did: servers count them as we do, and what they end for it carries the requests
 * of others as well. Half of what they let pass (nghttp2: 1,000; Envoy: 500 in all), since the streams that are open may still be given up.
 */
export const SERVER_RESETS_BURST = 400;

/** SETTINGS, PING, PRIORITY, empty DATA and CONTINUATION frames, and frames of unknown types: a gRPC client pings about once for each message. */
export const CONTROL_FRAMES_BURST = 2_000;
export const CONTROL_FRAMES_PER_SECOND = 400;

/** CONTINUATION frames of one field block: with the bound on its bytes, honest blocks need fewer than five (CVE-2024-27316 and its kin). */
export const CONTINUATIONS_MAX = 16;

/** Frames that wait for a peer which does not read: answers to its pings and settings, and heads. Beyond it the peer is given up. */
export const UNREAD_BYTES_MAX = 1024 * 1024;

/** Bytes that a stream may send before they are taken: what waits for a slow server is bounded by it. */
export const STREAM_WINDOW_BYTES = 256 * 1024;
/** The same for all streams of a client's connection together. */
export const CLIENT_WINDOW_BYTES = 1024 * 1024;

/** Written in one go once this much has gathered. */
export const FLUSH_BYTES = 64 * 1024;

/** After a last GOAWAY what still comes is read and thrown away, since closing at once could take the GOAWAY back. */
export const LEAVING_MS = 1_000;
export const LEAVING_BYTES_MAX = 256 * 1024;

/** Streams of one connection that ended lately, by number: what is still on its way to them is no fault. */
export const ENDED_KEPT = 128;

/**
 * A server that was asked whether it is there, and of which nothing is read for so long, is given up with all that it was asked for. Servers stand
 * still for a second or two while they collect their garbage; and before it is asked at all, a request has gone unanswered.
 */
export const SILENCE_MS_MAX = 5_000;
/**
 * So often a server is asked that answers no request meanwhile, and then once in this time. Servers of gRPC end a session at the third PING that comes
 * sooner than five minutes after the one before, with nothing sent in between (gRPC proposal A8).
 */
export const QUESTIONS_MAX = 2;
export const QUESTION_REST_MS = 300_000;

/** Sessions to one server that a worker has open at once. */
export const SESSIONS_PER_SERVER_MAX = 64;
/** The head of a response, and its field block. */
export const SERVER_HEAD_BYTES_MAX = 64 * 1024;
/** Streams to one server's session at once, where it allows that many. */
export const STREAMS_TO_SERVER_MAX = 100;
/**
 * Bytes that a server may send before they are taken, on all streams of its session together. They are those of many clients, so what some of
 * them leave unread must not use up what the others need: each stream has its own window, and this one is never the one that closes.
 */
export const SERVER_WINDOW_BYTES: number = STREAMS_TO_SERVER_MAX * STREAM_WINDOW_BYTES;
