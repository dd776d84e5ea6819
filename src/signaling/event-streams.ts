/**
 * The streams of events. Each is attached to the engine, read whenever the engine wakes it, and pushes what it reads to the
 * one that opened it. Pushed instead of pulled: so a signal gets from socket to socket without a promise, each of which would
 * cost a turn of the event loop, and an idle peer keeps none.
 */
import { formatPosition, parsePosition, type LogEntry } from "../domain/event-log.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import type { Attached, Caller, Engine, Stream } from "../engine/engine.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { PeerEvent } from "../protocol.ts";

/**
 * An event on its way to its peer, complete but for the token, which only `rpc` can sign. Or, at last, why the stream has
 * ended: another tab has the session, this reader was too slow, or a bug.
 */
export type Delivery = ({ id: string } & Completed) | Failure;

/** As JSON; or as a value, to which `rpc` may have to add the token. */
export type Completed = { json: string } | { event: PeerEvent<unknown> };

type Failure = { end: Rejection | "overflow" } | { bug: unknown };

export interface EventsRequest {
  /** Absent: a new session begins. */
  known?: Pick<Caller, "sessionId" | "generation"> | undefined;
  /** The id of the session that begins if none is known; the same for all streams of a connection. */
  newSessionId: string;
  lastEventId?: string | undefined;
  addressHash: string;
  /** See `AttachRequest.account`. */
  account?: string | undefined;
  /** See `AttachRequest`. */
  lobby?: string | undefined;
  lobbies?: readonly string[] | undefined;
  /** How long room and ticket may be kept at most when the stream closes now (milliseconds). */
  graceMsMax(): number;
  /** Called before the first event, and whenever it changes: whom this peer calls as from now on. */
  onIdentified(caller: Caller): void;
  /** Must not throw. */
  deliver(delivery: Delivery): void;
}

export interface EventStreamsParts {
  engine: Pick<Engine, "attach" | "detach" | "read">;
  schedule: (delayMs: number, task: () => void) => () => void;
  /** Adds what an event lacks, each time it is sent. What comes after it in its stream waits for that, and no other stream does. */
  complete: (entry: LogEntry, addressHash: string) => MaybePromise<Completed>;
  onBegun: (how: StreamBeginning) => void;

  /** Tickets that should look for a partner. */
  onNewlyWaiting: (sessionIds: readonly string[]) => void;
  onBug: (bug: unknown) => void;
}

/**
 * How a stream has begun: a peer resumed with everything that it missed (`whole`), or with a `resync` (`partial`); its token is valid, but its
 * session is gone (`failed`); or it has asked for nothing that it missed, as its session or its page has just begun, or its token is not
 * valid (`new`).
 */
export type StreamBeginning = "whole" | "partial" | "failed" | "new";

export interface OpenEvents {
  /** Nothing is delivered any more. Idempotent. */
  close(): void;
}

/** A peer is asked to try again after this, unless the engine says otherwise (milliseconds). */
const retryMs = 1000;

interface ReaderParts extends EventStreamsParts {
  /** How many streams are attached. */
  readonly open: { count: number };
}

export class EventStreams {
  readonly #parts: ReaderParts;
  #isDraining = false;

  constructor(parts: EventStreamsParts) {
    this.#parts = { ...parts, open: { count: 0 } };
  }

  /** How many are open. */
  get size(): number {
    return this.#parts.open.count;
  }

  open(request: EventsRequest): OpenEvents {
    if (this.#isDraining && !request.known) {
      request.deliver({ end: reject("draining", { retryAfterMs: retryMs }) });
      return { close() {} };
    }
    const reader = new Reader(this.#parts, request);
    reader.attach();
    return reader;
  }

  /** From now on no new session begins here. */
  drain(): void {
    this.#isDraining = true;
  }
}

/** A class, as there is one per stream, and closures would cost memory for each of them. */
class Reader implements OpenEvents {
  readonly #parts: ReaderParts;
  readonly #request: EventsRequest;
  #caller: Pick<Caller, "sessionId" | "generation">;
  // The position of the last event that the peer has received, as far as is known.
  #epoch: string | undefined;
  #offset = 0;
  #stream: Stream | undefined;
  /** Whether there may be something to read. */
  #isReady = false;
  /** Whether events are being read or delivered: then the loop that does so also reads what is appended meanwhile. */
  #isReading = false;
  #isClosed = false;
  #cancelRetry: (() => void) | undefined;

  constructor(parts: ReaderParts, request: EventsRequest) {
    const { known, newSessionId, lastEventId } = request;
    this.#parts = parts;
    this.#request = request;
    this.#caller = known ?? { sessionId: newSessionId, generation: 0 };
    // An id that no log can have given out is of no existing epoch.
    if (lastEventId === undefined) return;
    const { epoch, offset } = parsePosition(lastEventId) ?? { epoch: "", offset: 0 };
    this.#epoch = epoch;
    this.#offset = offset;
  }

  attach(): void {
    const { engine } = this.#parts;
    try {
      const attaching = engine.attach({
        ...this.#caller,
        addressHash: this.#request.addressHash,
        account: this.#request.account,
        lobby: this.#request.lobby,
        lobbies: this.#request.lobbies,
        position:
          this.#epoch === undefined ? undefined : { epoch: this.#epoch, offset: this.#offset },
        wake: this.#wake,
      });
      if (attaching instanceof Promise)
        attaching.then((attached) => this.#attached(attached)).catch((bug) => this.#fail(bug));
      else this.#attached(attaching);
    } catch (bug) {
      this.#fail(bug);
    }
  }

  /** Called by the engine after a verb has appended events, and by nothing in the middle of one. */
  readonly #wake = (): void => {
    this.#isReady = true;
    this.#read();
  };

  /** Delivers what there is to read. */
  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    let pending = false;
    try {
      while (this.#isReady && this.#stream && !this.#isClosed) {
        this.#isReady = false;
        const read = this.#parts.engine.read(this.#stream, this.#offset);
        if (read instanceof Promise) {
          pending = true;
          read.then((late) => this.#readLater(late)).catch((bug) => this.#fail(bug));
          return;
        }
        const taking = this.#take(read);
        if (taking) {
          pending = true;
          this.#readOnAfter(taking);
          return;
        }
      }
    } catch (bug) {
      this.#fail(bug);
    } finally {
      this.#isReading = pending;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelRetry?.();
    if (this.#stream) void this.#detach(this.#stream);
  }

  #attached(attached: Attached | Rejection): void {
    if (isRejection(attached)) return this.#refused(attached);
    const { stream, missed, newlyWaiting } = attached;
    const { onBegun, onNewlyWaiting, open } = this.#parts;
    open.count += 1;
    onBegun(this.#beginning(attached));
    this.#caller = { sessionId: stream.sessionId, generation: stream.generation };
    this.#request.onIdentified(this.#caller);
    if (this.#isClosed) return void this.#detach(stream);
    this.#stream = stream;
    this.#epoch = stream.epoch;
    this.#offset = stream.after;
    const taking = this.#take(missed);
    if (taking) {
      this.#isReading = true;
      this.#isReady = true;
      this.#readOnAfter(taking);
    } else this.#wake();
    // After the events of this stream, which nothing may overtake.
    onNewlyWaiting(newlyWaiting);
  }

  #beginning({ isNew, recovered }: Attached): StreamBeginning {
    if (this.#epoch === undefined) return "new";
    if (isNew) return this.#request.known ? "failed" : "new";
    return recovered ? "whole" : "partial";
  }

  /** What is appended meanwhile stays in the log, which is limited. */
  #readOnAfter(taking: Promise<void>): void {
    taking
      .then(() => {
        this.#isReading = false;
        this.#read();
      })
      .catch((bug) => this.#fail(bug));
  }

  #refused(rejection: Rejection) {
    if (this.#isClosed) return;
    // A newcomer has no session to lose, and is refused; its client tries again by itself.
    if (rejection.reason !== "unavailable" || this.#request.known === undefined)
      return this.#end(rejection);
    // The socket stays open, as reconnecting would not help; calls must not wait for the stream.
    this.#request.onIdentified(this.#caller);
    const retryAfterMs = rejection.retryAfterMs ?? retryMs;
    this.#cancelRetry = this.#parts.schedule(retryAfterMs, () => this.attach());
  }

  #readLater(read: Awaited<ReturnType<Engine["read"]>>): void {
    const taking = this.#take(read);
    // More events may have been appended while this was on its way.
    if (Array.isArray(read) && read.length > 0) this.#isReady = true;
    if (taking) return this.#readOnAfter(taking);
    this.#isReading = false;
    this.#read();
  }

  /** Delivers what was read from the `from`-th entry on. A promise only if one of them has to be waited for. */
  #take(read: Awaited<ReturnType<Engine["read"]>>, from = 0): Promise<void> | undefined {
    if (read === "overflow" || isRejection(read)) return void this.#end(read);
    if (read === "detached") return void this.#attachAgain();
    for (let index = from; index < read.length; index += 1) {
      const entry = read[index] as LogEntry;
      this.#offset = Math.max(this.#offset, entry.offset);
      const delivering = this.#deliver(entry);
      if (delivering) return delivering.then(() => this.#take(read, index + 1));
    }
    return undefined;
  }

  async #attachAgain() {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream) await this.#detach(stream);
    if (!this.#isClosed) this.attach();
  }

  #deliver(entry: LogEntry): Promise<void> | undefined {
    if (this.#isClosed) return undefined;
    const id = formatPosition(this.#epoch ?? "", entry.offset);
    const { lacks, json } = entry;
    if (lacks === undefined) return void this.#request.deliver({ id, json });
    const completed = this.#parts.complete(entry, this.#request.addressHash);
    if (!(completed instanceof Promise)) return void this.#request.deliver({ id, ...completed });
    return completed.then((late) => {
      if (!this.#isClosed) this.#request.deliver({ id, ...late });
    });
  }

  #end(why: Rejection | "overflow") {
    if (this.#isClosed) return;
    this.#request.deliver({ end: why });
    this.close();
  }

  #fail(bug: unknown): void {
    if (this.#isClosed) return this.#parts.onBug(bug);
    try {
      this.#request.deliver({ bug });
    } catch (another) {
      this.#parts.onBug(another);
    }
    this.close();
  }

  async #detach(stream: Stream) {
    this.#parts.open.count -= 1;
    try {
      await this.#parts.engine.detach(stream, this.#request.graceMsMax());
    } catch (bug) {
      this.#parts.onBug(bug);
    }
  }
}
