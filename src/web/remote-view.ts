import type { PeerStreamState } from "../client/state.ts";
import type { Elements } from "./elements.ts";
import { coverWords, isPictureOff } from "./words.ts";

/** How long a picture may take before the page says that there is none. */
const PICTURE_MS_MAX = 4000;

/** The stage: the partner's picture, or what the page says instead of it. */
export interface RemoteView {
  show(state: PeerStreamState): void;
}

/** Binds the partner's video and the cover over it. `painted` is told when a picture is there. */
export function createRemoteView(elements: Elements, painted: () => void): RemoteView {
  const { remoteVideo, cover, coverTitle, coverText, why, wishes, unmute, shared } = elements;
  let state: PeerStreamState = { status: "idle" };
  let hasPicture = false;
  let late: ReturnType<typeof setTimeout> | undefined;

  remoteVideo.addEventListener("resize", look);
  remoteVideo.addEventListener("playing", look);
  unmute.addEventListener("click", () => {
    remoteVideo.muted = false;
    unmute.hidden = true;
    void play();
  });

  function look(): void {
    hasPicture = remoteVideo.srcObject !== null && remoteVideo.videoWidth > 0;
    if (hasPicture) painted();
    render();
  }

  async function play(): Promise<void> {
    try {
      await remoteVideo.play();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "NotAllowedError") return;
      // The browser wants a press before it makes a sound; the picture may move meanwhile.
      remoteVideo.muted = true;
      unmute.hidden = false;
      await remoteVideo.play().catch(() => {});
    }
  }

  function attach(stream: MediaStream | null): void {
    if (remoteVideo.srcObject === stream) return;
    remoteVideo.srcObject = stream;
    hasPicture = false;
    clearTimeout(late);
    unmute.hidden = true;
    if (!stream) return;
    void play();
    late = setTimeout(() => {
      if (!hasPicture && !isPictureOff(state))
        coverText.textContent = "The stranger shows no picture, but is there.";
    }, PICTURE_MS_MAX);
  }

  function render(): void {
    const words = coverWords(state);
    coverTitle.textContent = words.title;
    coverText.textContent = words.text;
    // Without a room, wishes can still change; nor does the page jump at each short drop.
    const alone = !("roomId" in state) || state.roomId === undefined;
    wishes.hidden = !alone;
    why.hidden = state.status !== "idle" || elements.localVideo.srcObject !== null;
    const isOff = isPictureOff(state);
    cover.ariaBusy = String(!alone && !hasPicture && !isOff);
    remoteVideo.dataset["off"] = String(isOff);
    // The last picture of a camera that was turned off would look like a frozen call.
    cover.hidden = hasPicture && !isOff && elements.trouble.hidden;
  }

  return {
    show(next) {
      state = next;
      attach("remote" in next ? (next.remote ?? null) : null);
      const both = "sharedInterests" in next ? (next.sharedInterests ?? []) : [];
      shared.hidden = both.length === 0;
      shared.replaceChildren(
        ...both.map((interest) => {
          const item = document.createElement("li");
          item.textContent = interest;
          return item;
        }),
      );
      render();
    },
  };
}
