/** A camera whose picture goes through the page's own processor, such as a blur, before anybody sees it. */
import type { Processor } from "./types.ts";
import type {
  CameraError,
  CameraEvent,
  CameraResult,
  OwnedCamera,
  SourceResult,
} from "./camera.ts";
import { createEmitter } from "./emitter.ts";
import { browserTimers, type Timers } from "./platform.ts";

/** A processor may first have to load what it works with. */
const PROCESSOR_MS_MAX = 15_000;

const superseded = {
  ok: false,
  error: { kind: "superseded", cause: undefined },
} as const satisfies SourceResult;

export interface ProcessedCamera extends OwnedCamera {
  /** See `PeerStream.setProcessor`. */
  process(processor: Processor | undefined): Promise<SourceResult>;
}

/**
 * The same camera, whose stream has the processed picture. The raw one is never in it while there is a processor: until that has returned a
 * track, and after it has failed, there is no picture.
 *
 * @param newStream creates a stream of tracks.
 */
export function createProcessedCamera(
  camera: OwnedCamera,
  newStream: (tracks: MediaStreamTrack[]) => MediaStream,
  timers = browserTimers,
): ProcessedCamera {
  const picture = new ProcessedPicture(camera, newStream, timers);
  return {
    ...camera,
    get stream() {
      return picture.stream;
    },
    open: (constraints, options) => picture.open(constraints, options),
    choose: (choice) => picture.finish(camera.choose(choice)),
    flip: () => picture.finish(camera.flip()),
    restore: (restored) => picture.finish(camera.restore(restored)),
    subscribe: (listener) => picture.events.subscribe(listener),
    dispose() {
      camera.dispose();
      picture.events.close();
    },
    process: (processor) => picture.process(processor),
  };
}

class ProcessedPicture {
  readonly events = createEmitter<CameraEvent>();
  stream: MediaStream | undefined;
  readonly #camera: OwnedCamera;
  readonly #newStream: (tracks: MediaStreamTrack[]) => MediaStream;
  readonly #timers: Timers;
  #processor: Processor | undefined;
  /** The camera's track. */
  #raw: MediaStreamTrack | undefined;
  #output: MediaStreamTrack | undefined;
  /** What the processor was last asked for, and how often it was. */
  #latest: Promise<SourceResult> = Promise.resolve({ ok: true });
  #runs = 0;
  #supersede = () => {};
  /** Calls of `open` that have no result yet. */
  #openings = 0;

  constructor(
    camera: OwnedCamera,
    newStream: (tracks: MediaStreamTrack[]) => MediaStream,
    timers: Timers,
  ) {
    this.#camera = camera;
    this.#newStream = newStream;
    this.#timers = timers;
    camera.subscribe((event) => {
      if (event.type === "stream") return this.#follow(event.opened);
      // The last picture would stay.
      if (event.type === "lost" && this.#raw?.readyState === "ended") this.#process(undefined);
      this.events.emit(event);
    });
  }

  process(processor: Processor | undefined): Promise<SourceResult> {
    this.#processor = processor;
    if (!processor) this.#replaceOutput(undefined);
    this.#process(this.#raw?.readyState === "live" ? this.#raw : undefined);
    return this.#latest;
  }

  /** Also of the processor nothing is waited for once `signal` is aborted. */
  async open(...[constraints, options]: Parameters<OwnedCamera["open"]>): Promise<CameraResult> {
    const wasOpen = this.#camera.stream !== undefined;
    const signal = options?.signal;
    this.#openings += 1;
    const finished = this.finish(this.#camera.open(constraints, options));
    const result = await (signal ? unlessAborted(finished, signal) : finished);
    this.#openings -= 1;
    const isAborted = !result.ok && result.error.kind === "aborted";
    // Nobody wants the devices any more.
    if (isAborted && !wasOpen && this.#openings === 0) this.#camera.close();
    return result;
  }

  /** The result of an opening of the camera, once its picture has been processed. */
  async finish<Result extends CameraResult | undefined>(
    opening: Promise<Result>,
  ): Promise<Result | CameraResult> {
    const result = await opening;
    if (!result?.ok || !this.#processor) return result;
    const raw = this.#raw;
    let latest: Promise<SourceResult>;
    let processed: SourceResult;
    do {
      latest = this.#latest;
      processed = await latest;
      // There may be another processor meanwhile, for the same camera.
    } while (latest !== this.#latest && raw === this.#raw);
    if (!processed.ok) return processed;
    return this.stream ? { ok: true, stream: this.stream } : superseded;
  }

  #follow(opened?: true): void {
    const [track] = this.#camera.stream?.getVideoTracks() ?? [];
    if (track === this.#raw) this.#publish(opened);
    else this.#process(track, opened);
  }

  /** The camera's track is another one, or there is another processor. What was processed before is shown until the result is there. */
  #process(track: MediaStreamTrack | undefined, opened?: true): void {
    const processor = this.#processor;
    const run = ++this.#runs;
    if (!track) this.#replaceOutput(undefined);
    this.#raw = track;
    // Whoever waits for the run before waits no longer, however long its processor takes.
    this.#supersede();
    const isOvertaken = new Promise<SourceResult>((resolve) => {
      this.#supersede = () => resolve(superseded);
    });
    this.#latest =
      processor && track
        ? Promise.race([this.#run(run, processor, track, opened), isOvertaken])
        : Promise.resolve({ ok: true });
    this.#publish(opened);
  }

  async #run(
    run: number,
    processor: Processor,
    track: MediaStreamTrack,
    opened?: true,
  ): Promise<SourceResult> {
    try {
      const made = await within(this.#timers, processor, track, (late) => this.#discard(late));
      if (run !== this.#runs) {
        this.#discard(made);
        return superseded;
      }
      made.addEventListener("ended", () => {
        if (run === this.#runs && track.readyState === "live")
          this.#fail(new Error("the processed track has ended"));
      });
      this.#replaceOutput(made);
      this.#publish(opened);
      return { ok: true };
    } catch (cause) {
      return run === this.#runs ? { ok: false, error: this.#fail(cause) } : superseded;
    }
  }

  #fail(cause: unknown): CameraError {
    const error: CameraError = { kind: "processor", cause };
    this.#runs += 1;
    this.#replaceOutput(undefined);
    this.#publish();
    this.events.emit({ type: "processor-failed", error });
    return error;
  }

  /** Stops a track that came too late. */
  #discard(late: MediaStreamTrack): void {
    if (late !== this.#raw && late !== this.#output) late.stop();
  }

  /** A processor may return the camera's own track, which the camera stops. */
  #replaceOutput(next: MediaStreamTrack | undefined): void {
    if (this.#output !== next && this.#output !== this.#raw) this.#output?.stop();
    this.#output = next;
  }

  #publish(opened?: true): void {
    const source = this.#camera.stream;
    const old = this.stream;
    if (this.#processor && source) {
      const tracks = [...source.getAudioTracks(), ...(this.#output ? [this.#output] : [])];
      const present = old?.getTracks() ?? [];
      if (present.length !== tracks.length || !tracks.every((track) => present.includes(track)))
        this.stream = this.#newStream(tracks);
    } else this.stream = source;
    if (old === this.stream && !opened) return;
    this.events.emit({ type: "stream", stream: this.stream, ...(opened && { opened }) });
  }
}

/** What the processor returns. @throws if that is no live picture, or is not returned in time. */
function within(
  timers: Timers,
  processor: Processor,
  track: MediaStreamTrack,
  discard: (late: MediaStreamTrack) => void,
): Promise<MediaStreamTrack> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = timers.setTimeout(() => {
      isLate = true;
      reject(new Error(`the processor returned no track within ${PROCESSOR_MS_MAX} ms`));
    }, PROCESSOR_MS_MAX);
    const made = Promise.resolve(track)
      .then(processor)
      .then((given) => {
        if (given?.kind !== "video" || given.readyState !== "live")
          throw new TypeError("the processor returned no live track of video");
        if (isLate) discard(given);
        return given;
      });
    made.then(resolve, reject).finally(() => timers.clearTimeout(timer));
  });
}

/** The result, or at once `aborted`. */
function unlessAborted(opening: Promise<CameraResult>, signal: AbortSignal): Promise<CameraResult> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve({ ok: false, error: { kind: "aborted", cause: signal.reason } });
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    // The signal may live for much longer.
    opening.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
