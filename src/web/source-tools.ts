/** The buttons for another camera and for the screen in place of the camera. */
import type { PeerStreamState } from "../client/state.ts";
import type { PeerStream } from "../client/types.ts";
import type { Elements } from "./elements.ts";

export interface SourceTools {
  /** Call it on every change of the state, and of what is sent. */
  show(state: PeerStreamState): void;
}

/** @param hasCamera returns whether the user's own picture is that of a camera. */
export function createSourceTools(
  { flip, share }: Elements,
  peer: Pick<PeerStream, "camera" | "shareScreen" | "stopSharing">,
  hasCamera: () => boolean,
): SourceTools {
  let cameras = 0;
  // Not on phones.
  share.hidden = typeof navigator.mediaDevices?.getDisplayMedia !== "function";

  flip.addEventListener("click", () => void peer.camera.flip());
  share.addEventListener("click", () => {
    if (share.ariaPressed === "true") peer.stopSharing();
    // Without a choice of the user's nothing changes.
    else void peer.shareScreen();
  });
  peer.camera.subscribe(({ type }) => {
    if (type === "stream" || type === "devices") void count();
  });

  async function count(): Promise<void> {
    cameras = (await peer.camera.devices()).cameras.length;
    showFlip();
  }

  function showFlip(): void {
    flip.hidden = cameras < 2 || !hasCamera();
  }

  return {
    show(state) {
      showFlip();
      share.ariaPressed = String("source" in state && state.source === "screen");
    },
  };
}
