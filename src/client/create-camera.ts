/** Creates a camera as the page gets it. */
import type { CameraParts, OwnedCamera } from "./camera.ts";
import { DeviceCamera } from "./device-camera.ts";

/** Creates a camera that is closed. */
export function createCamera(parts: CameraParts): OwnedCamera {
  const camera = new DeviceCamera(parts);
  // Closures instead of methods, so that the page may pass them on detached, as event listeners.
  return {
    get stream() {
      return camera.stream;
    },
    open: (constraints, options) => camera.open(constraints, options),
    choose: (choice) => camera.choose(choice),
    flip: () => camera.flip(),
    setSpeaker: (element, id) => camera.setSpeaker(element, id),
    devices: () => camera.devices(),
    subscribe: (listener) => camera.subscribe(listener),
    close: () => camera.close(),
    release: (released) => camera.release(released),
    restore: (restored) => camera.restore(restored),
    dispose: () => camera.dispose(),
  };
}
