/** A camera whose code is loaded when it is first used: not by pages that send nothing, or are for text. */
import type { CameraEvent, CameraParts } from "./camera.ts";
import { createEmitter } from "./emitter.ts";
import type { Timers } from "./platform.ts";
import type { ProcessedCamera } from "./processed-camera.ts";

/**
 * Creates a camera that is closed. Its methods take effect in the order in which they are called. If the code can't be loaded they fail with
 * the error `unknown`, and load it again at the next call.
 */
export function createLazyCamera(
  parts: CameraParts,
  timers: Timers,
  importCamera = importProcessedCamera,
): ProcessedCamera {
  const events = createEmitter<CameraEvent>();
  let camera: ProcessedCamera | undefined;
  let loading: Promise<ProcessedCamera> | undefined;
  let isDisposed = false;

  async function load(): Promise<ProcessedCamera> {
    try {
      const create = await importCamera();
      camera = create(parts, timers);
      camera.subscribe((event) => events.emit(event));
      if (isDisposed) camera.dispose();
      return camera;
    } catch (cause) {
      loading = undefined;
      throw cause;
    }
  }

  /** Once it is loaded nothing waits: some browsers allow only so much between a press and what it asks for. */
  async function use<Result, Failure>(
    action: (camera: ProcessedCamera) => Result | Promise<Result>,
    failed: (cause: unknown) => Failure,
  ): Promise<Result | Failure> {
    if (camera) return action(camera);
    loading ??= load();
    let loaded: ProcessedCamera;
    try {
      loaded = await loading;
    } catch (cause) {
      return failed(cause);
    }
    return action(loaded);
  }

  /** Does nothing to a camera that was never used. */
  function tell(action: (camera: ProcessedCamera) => void): void {
    if (camera) action(camera);
    else loading?.then(action, () => {});
  }

  return {
    get stream() {
      return camera?.stream;
    },
    open: (constraints, options) => use((one) => one.open(constraints, options), failure),
    choose: (choice) => use((one) => one.choose(choice), failure),
    flip: () => use((one) => one.flip(), failure),
    setSpeaker: (element, id) => use((one) => one.setSpeaker(element, id), failure),
    devices: () =>
      use(
        (one) => one.devices(),
        () => ({ cameras: [], microphones: [], speakers: [] }),
      ),
    process: (processor) => use((one) => one.process(processor), failure),
    // One that was never used has released nothing.
    restore: async (kinds) => (loading ? use((one) => one.restore(kinds), failure) : undefined),
    release(kinds) {
      if (kinds.length > 0)
        void use(
          (one) => one.release(kinds),
          () => {},
        );
    },
    subscribe: (listener) => events.subscribe(listener),
    close: () => tell((one) => one.close()),
    dispose() {
      isDisposed = true;
      tell((one) => one.dispose());
      events.close();
    },
  };
}

const failure = (cause: unknown) => ({ ok: false, error: { kind: "unknown", cause } }) as const;

async function importProcessedCamera() {
  const [{ createCamera }, { createProcessedCamera }] = await Promise.all([
    import("./create-camera.ts"),
    import("./processed-camera.ts"),
  ]);
  return (parts: CameraParts, timers: Timers) =>
    createProcessedCamera(createCamera(parts), parts.stream, timers);
}
