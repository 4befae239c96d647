/**
 * A stream of HTTP/2 in the shape of a socket: a wire on it reads a message of HTTP/1.1 made of the frames that come, and what is written to
 * it leaves as frames. So whatever carries HTTP/1.1 carries HTTP/2, with no second way of judging, relaying or accounting. One
 * serves stream after stream, as a kept-alive connection serves request after request.
 *
 * What is read is delivered while a frame is handled or at the end of the loop's turn, never from within a call of the wire's owner.
 */
import { giveChunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import { type HandleReader, stream as native, type ShutdownRequest, type StreamHandle, type WriteRequest } from '../wire/native.ts';
import type { Wire } from '../wire/wire.ts';
import { STREAM_WINDOW_BYTES } from './allowance.ts';
import { BodyText } from './body-text.ts';
import { FLOW_CONTROL_ERROR, FRAME_BYTES_MAX, NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } from './frame.ts';
import { bodyText, IncomingBody } from './incoming-body.ts';
import type { StreamHost } from './stream-host.ts';
import { TrailerLines } from './trailer-lines.ts';

const { kLastWriteWasAsync, streamBaseState } = native;
const UV_EOF = -4095;
const UV_ECANCELED = -125;
const UV_ECONNRESET = -104;
const UV_EPIPE = -32;

/** Decoding is done within one callback, so one of these serves the whole thread. */
export const trailerLines = new TrailerLines();

interface WaitingWrite {
  readonly request: WriteRequest;
  readonly bytes: Buffer;
  at: number;
}

export abstract class Stream implements StreamHandle {
  readonly gathers = true;
  onread: StreamHandle['onread'];
  wire: HandleReader | undefined;
  readonly writeQueueSize: number;
  readonly fd: number;
  /** 0 between two streams. */
  id: number;
  /** Bytes that the peer takes of this stream. */
  sendWindow: number;
  /** The peer has sent its last frame, and we ours. */
  remoteDone: boolean;
  localDone: boolean;
  closed: boolean;
  /** Its owner has said its last word: it serves no other stream. */
  retired: boolean;
  /** What a reset by its owner says, where something better is known than a fault on our side; -1 otherwise. */
  resetCode: number;
  /** In the session's list of those who wait for a window. */
  waits: boolean;
  /** In its list of those with something to deliver. */
  due: boolean;
  protected readonly host: StreamHost<Stream>;
  /** The body that the wire's owner reads. */
  protected readonly incoming: IncomingBody;
  /** The body that the wire's owner writes. */
  protected readonly outgoing: BodyText;
  /** A head is what it writes next. */
  protected inHead: boolean;
  private reading: boolean;
  /** The peer has given the stream up. */
  private broken: boolean;
  /** The peer listens no more, though what it said is whole. */
  protected muted: boolean;
  private receivable: number;
  private ungiven: number;
  private readonly held: Held;
  private heldPayload: number;
  private eofDue: boolean;
  private shutdownRequest: ShutdownRequest | null;
  private readonly writes: WaitingWrite[];
  private at: number;

  constructor(host: StreamHost<Stream>) {
    this.onread = undefined;
    this.wire = undefined;
    this.writeQueueSize = 0;
    this.fd = -1;
    this.id = 0;
    this.sendWindow = 0;
    this.remoteDone = this.localDone = true;
    this.closed = this.retired = this.waits = this.due = false;
    this.host = host;
    this.outgoing = new BodyText();
    this.inHead = true;
    this.incoming = new IncomingBody();
    this.reading = this.broken = this.muted = false;
    this.resetCode = -1;
    this.receivable = 0;
    this.ungiven = 0;
    this.held = new Held();
    this.heldPayload = 0;
    this.eofDue = false;
    this.shutdownRequest = null;
    this.writes = [];
    this.at = 0;
  }

  /** A head that the owner has written, from `at` on; what of it is the body's beginning is left. Answers where the body begins. */
  protected abstract sendHead(bytes: Buffer, at: number): number;
  /** Both sides are done. */
  protected abstract finished(): void;
  /** A fault of the owner's side ends the stream with this code. */
  protected abstract readonly faultCode: number;

  /** hot: the next stream begins. */
  protected open(id: number, sendWindow: number): void {
    this.id = id;
    this.sendWindow = sendWindow;
    this.remoteDone = this.localDone = false;
    this.inHead = true;
    this.muted = false;
    this.resetCode = -1;
    this.incoming.begin(0);
    this.receivable = STREAM_WINDOW_BYTES;
    this.ungiven = 0;
  }

  // --- what comes by the stream --------------------------------------------------------------------------------------------------

  /** hot: payload of a DATA frame: bytes [from, to) of a frame that counts `counted`. Answers the code of what is wrong with it. */
  data(bytes: Buffer, from: number, to: number, counted: number, ended: boolean): number {
    if (this.remoteDone) return STREAM_CLOSED;
    this.receivable -= counted;
    if (this.receivable < 0) return FLOW_CONTROL_ERROR;
    const length = to - from;
    const end = this.incoming.take(bytes, from, to, ended);
    if (end < 0) return PROTOCOL_ERROR;
    if (counted > length) this.giveBack(counted - length, this.id);
    if (ended) this.remoteEnded();
    this.deliver(bodyText, end, length);
    return NO_ERROR;
  }

  /** hot: a head, with which the stream may end. */
  protected deliverHead(bytes: Buffer, length: number, ended: boolean): void {
    if (ended) this.remoteEnded();
    this.deliver(bytes, this.incoming.keepBack(bytes, length, ended), 0);
  }

  /** Trailers, which `trailerLines` has read. */
  trailers(): number {
    if (this.remoteDone) return STREAM_CLOSED;
    const end = this.incoming.end();
    if (end < 0) return PROTOCOL_ERROR;
    this.remoteEnded();
    // A body of a length that was said has no place for them in HTTP/1.1.
    if (this.incoming.isChunked) this.deliver(trailerLines.text.bytes, trailerLines.text.length, 0);
    else this.deliver(bodyText, end, 0);
    return NO_ERROR;
  }

  /**
   * hot: the peer's side ends with what is about to be delivered. Said before that, since the wire's owner may begin its next message as soon as it has
   * the last byte of this one: the stream has to be free for it by then.
   */
  private remoteEnded(): void {
    this.remoteDone = true;
    if (this.incoming.isRaw) {
      this.eofDue = true;
      this.host.deliverLater(this);
    }
    if (this.localDone && this.id !== 0) this.finished();
  }

  /** hot: text for the wire: bytes [0, length), of which `payload` count for the windows. */
  protected deliver(bytes: Buffer, length: number, payload: number): void {
    const wire = this.wire as Wire | undefined;
    if (this.closed || wire === undefined) {
      this.giveBack(payload, this.id);
      return;
    }
    if (!this.reading || !this.held.empty) {
      this.held.append(bytes, 0, length);
      this.heldPayload += payload;
      return;
    }
    const { id } = this;
    if (length > 0) wire.owner.wireData(wire, bytes, length);
    this.giveBack(payload, id);
  }

  /** What waited, now that the wire reads; and what waited to be said to it. */
  deliverHeld(): void {
    const wire = this.wire as Wire | undefined;
    const request = this.shutdownRequest;
    if (request !== null) {
      this.shutdownRequest = null;
      request.oncomplete?.(0);
    }
    if (this.closed || wire === undefined) return;
    if (this.reading && !this.held.empty) {
      const chunk = this.held.take()!;
      const { id, heldPayload } = this;
      this.heldPayload = 0;
      wire.owner.wireData(wire, chunk.bytes, chunk.length);
      giveChunk(chunk);
      this.giveBack(heldPayload, id);
    }
    if (!this.closed && this.eofDue && this.reading && this.held.empty) {
      this.eofDue = false;
      this.reading = false;
      wire.take(UV_EOF);
    }
  }

  /** hot: the owner has taken these bytes, which came when the stream had the number `id`: the peer may send as many again. */
  private giveBack(payload: number, id: number): void {
    if (payload === 0) return;
    this.host.giveBack(payload);
    if (this.remoteDone || this.id === 0 || this.id !== id) return;
    this.ungiven += payload;
    if (this.ungiven < STREAM_WINDOW_BYTES / 2) return;
    this.receivable += this.ungiven;
    this.host.sendWindowUpdate(this.id, this.ungiven);
    this.ungiven = 0;
  }

  /**
   * The peer has said all, and gives up the rest of what we say, which is no fault (RFC 9113 §8.1). What the owner still writes of its message goes
   * nowhere.
   */
  mute(): void {
    this.muted = true;
    this.pump();
  }

  /** The stream was ended from the other side, or the connection was: the wire is told so, by this errno. */
  lost(errno = UV_ECONNRESET): void {
    this.id = 0;
    this.remoteDone = this.localDone = true;
    if (this.closed) return;
    this.held.drop();
    if (this.heldPayload > 0) this.host.giveBack(this.heldPayload);
    this.heldPayload = 0;
    this.broken = true;
    this.wire?.take(errno);
  }

  // --- what the wire asks for ----------------------------------------------------------------------------------------------------

  readStart(): number {
    this.reading = true;
    if (!this.held.empty || this.eofDue) this.host.deliverLater(this);
    return 0;
  }

  readStop(): number {
    this.reading = false;
    return 0;
  }

  useUserBuffer(): number {
    return 0;
  }

  /** hot */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number {
    if (this.broken || this.closed) return UV_EPIPE;
    const whole = bytes as Buffer;
    if (this.writes.length === 0) {
      if (this.inHead && !this.mayBegin()) return UV_EPIPE;
      this.at = 0;
      if (this.advance(whole)) {
        streamBaseState[kLastWriteWasAsync] = 0;
        return 0;
      }
      this.writes.push({ request, bytes: whole, at: this.at });
    } else this.writes.push({ request, bytes: whole, at: 0 });
    streamBaseState[kLastWriteWasAsync] = 1;
    return 0;
  }

  /** Whether a head may be sent now; where not, the write fails, and nobody has seen a byte of it. */
  protected mayBegin(): boolean {
    return true;
  }

  /** Whether a head has to wait, for a peer that does not read. */
  protected get headWaits(): boolean {
    return false;
  }

  /** Bytes that wait for the owner to read on. */
  protected get heldBytes(): number {
    return this.held.length;
  }

  /** The windows may have opened. Answers whether nothing waits any more. */
  pump(): boolean {
    for (;;) {
      const write = this.writes[0];
      if (write === undefined) return true;
      this.at = write.at;
      if (!this.advance(write.bytes)) {
        write.at = this.at;
        return false;
      }
      this.writes.shift();
      write.request.oncomplete?.(0);
    }
  }

  /** hot: sends what it can of the bytes from `at` on; false where a part has to wait. */
  private advance(bytes: Buffer): boolean {
    const { outgoing } = this;
    for (;;) {
      if (outgoing.from < outgoing.to && !this.sendPayload(bytes)) return false;
      if (!this.inHead && outgoing.done && !this.localDone) this.sendEnd();
      if (this.at >= bytes.length) return true;
      if (this.localDone) return true;
      if (this.inHead && this.headWaits) {
        this.host.waitForWindow(this);
        return false;
      }
      this.at = this.inHead ? this.sendHead(bytes, this.at) : outgoing.next(bytes, this.at, bytes.length);
    }
  }

  /** hot: frames of [outgoing.from, outgoing.to), as far as the windows go. */
  private sendPayload(bytes: Buffer): boolean {
    const { outgoing, host } = this;
    if (this.muted) outgoing.from = outgoing.to;
    while (outgoing.from < outgoing.to) {
      const length = Math.min(outgoing.to - outgoing.from, this.sendWindow, host.sendWindow, FRAME_BYTES_MAX);
      if (length <= 0 || host.congested) {
        host.waitForWindow(this);
        return false;
      }
      const from = outgoing.from;
      outgoing.from += length;
      this.sendWindow -= length;
      // Payload that is the last of a chunked body is not known to be: `sendEnd` says so afterwards.
      const last = outgoing.done && outgoing.from === outgoing.to;
      if (last) this.localDone = true;
      host.sendData(this.id, bytes, from, from + length, last);
      if (last) this.localEnded();
    }
    return true;
  }

  /** hot: the body is over, and its last byte has gone: what says so to the peer. */
  private sendEnd(): void {
    this.localDone = true;
    const { trailers } = this.outgoing;
    if (this.muted) {
      this.localEnded();
      return;
    }
    if (trailers.length > 0) this.host.sendTrailers(this.id, trailers);
    else this.host.sendEnd(this.id);
    this.localEnded();
  }

  protected localEnded(): void {
    if (this.remoteDone && this.id !== 0) this.finished();
  }

  shutdown(request: ShutdownRequest): number {
    this.shutdownRequest = request;
    this.retired = true;
    if (!this.inHead && !this.localDone && this.outgoing.isEndless) this.sendEnd();
    // Who has said its last word hears no more either, or its owner would wait for an end that a stream does not have. A tunnel ends by itself.
    if (!this.incoming.isRaw) this.eofDue = true;
    this.host.deliverLater(this);
    return 0;
  }

  close(done?: () => void): void {
    // What only its end ends, has ended in order; a reset says otherwise.
    if (this.id !== 0 && !this.inHead && !this.localDone && this.outgoing.isEndless && this.writes.length === 0) this.sendEnd();
    this.leave(this.faultCode);
    done?.();
  }

  reset(done?: () => void): number {
    this.leave(this.faultCode);
    done?.();
    return 0;
  }

  private leave(code: number): void {
    if (this.closed) return;
    this.closed = this.retired = true;
    for (const write of this.writes.splice(0)) write.request.oncomplete?.(UV_ECANCELED);
    this.held.drop();
    const payload = this.heldPayload;
    this.heldPayload = 0;
    if (payload > 0) this.host.giveBack(payload);
    // RFC 9113 §8.1: an answer that is whole needs the rest of its request no more, which is no error.
    if (this.id !== 0) this.host.endStream(this, this.localDone ? NO_ERROR : this.resetCode >= 0 ? this.resetCode : code);
    this.id = 0;
    this.host.left(this);
  }
}
