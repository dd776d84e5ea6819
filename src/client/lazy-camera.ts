/** A camera whose code is loaded when it is first used: not by pages that send nothing, or are for text. */
import type { CameraEvent, CameraParts } from "./camera.ts";
import { createEmitter } from "./emitter.ts";
import type { Timers } from "./platform.ts";
import type { ProcessedCamera } from "./processed-camera.ts";

/** Creates a camera that is closed. Its methods take effect in the order in which they are called. */
export function createLazyCamera(parts: CameraParts, timers: Timers): ProcessedCamera {
  const events = createEmitter<CameraEvent>();
  let camera: ProcessedCamera | undefined;
  let loading: Promise<ProcessedCamera> | undefined;
  let isDisposed = false;

  async function load(): Promise<ProcessedCamera> {
    const [{ createCamera }, { createProcessedCamera }] = await Promise.all([
      import("./camera.ts"),
      import("./processed-camera.ts"),
    ]);
    camera = createProcessedCamera(createCamera(parts), parts.stream, timers);
    camera.subscribe((event) => events.emit(event));
    if (isDisposed) camera.dispose();
    return camera;
  }

  /** Once it is loaded nothing waits: some browsers allow only so much between a press and what it asks for. */
  function use<Result>(action: (camera: ProcessedCamera) => Result | Promise<Result>) {
    if (camera) return Promise.resolve(action(camera));
    loading ??= load();
    return loading.then(action);
  }

  /** Does nothing to a camera that was never used. */
  function tell(action: (camera: ProcessedCamera) => void): void {
    if (camera) action(camera);
    else void loading?.then(action);
  }

  return {
    get stream() {
      return camera?.stream;
    },
    open: (constraints, options) => use((one) => one.open(constraints, options)),
    choose: (choice) => use((one) => one.choose(choice)),
    flip: () => use((one) => one.flip()),
    setSpeaker: (element, id) => use((one) => one.setSpeaker(element, id)),
    devices: () => use((one) => one.devices()),
    process: (processor) => use((one) => one.process(processor)),
    restore: async (kinds) => (loading ? use((one) => one.restore(kinds)) : undefined),
    release: (kinds) => void (kinds.length > 0 && use((one) => one.release(kinds))),
    subscribe: (listener) => events.subscribe(listener),
    close: () => tell((one) => one.close()),
    dispose() {
      isDisposed = true;
      tell((one) => one.dispose());
      events.close();
    },
  };
}
