/** The partner's video, and the button for sound where the browser blocks it. */
import type { PeerStreamState } from "../client/state.ts";
import type { Mode } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { coverWords, isPictureOff, modeWords, partnerFactsWords } from "./words.ts";

/** How long the first frame may take before the page says that there is no video (milliseconds). */
const FIRST_FRAME_MS_MAX = 4000;

/** The stage: the partner's video, or the cover in its place. */
export interface RemoteView {
  show(state: PeerStreamState): void;
}

/**
 * Binds the partner's video and the cover over it.
 * @param painted called when a frame is shown. @param insisted returns the dimensions of which only certain strangers are wanted.
 * @param mode returns the one that is chosen.
 */
export function createRemoteView(
  elements: Elements,
  {
    painted,
    insisted,
    mode,
  }: { painted: () => void; insisted: () => readonly string[]; mode: () => Mode },
): RemoteView {
  const { remoteVideo, cover, coverTitle, coverText, why, wishes, unmute, shared, partnerFacts } =
    elements;
  let state: PeerStreamState = { status: "idle" };
  let hasVideo = false;
  let noVideoTimer: ReturnType<typeof setTimeout> | undefined;

  remoteVideo.addEventListener("resize", onFrame);
  remoteVideo.addEventListener("playing", onFrame);
  unmute.addEventListener("click", () => {
    remoteVideo.muted = false;
    unmute.hidden = true;
    void play();
  });

  function onFrame(): void {
    hasVideo = remoteVideo.srcObject !== null && remoteVideo.videoWidth > 0;
    if (hasVideo) painted();
    render();
  }

  async function play(): Promise<void> {
    try {
      await remoteVideo.play();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "NotAllowedError") return;
      // Autoplay with sound needs a user gesture; muted video may play without one.
      remoteVideo.muted = true;
      unmute.hidden = false;
      await remoteVideo.play().catch(() => {});
    }
  }

  function attach(stream: MediaStream | null): void {
    if (remoteVideo.srcObject === stream) return;
    remoteVideo.srcObject = stream;
    hasVideo = false;
    clearTimeout(noVideoTimer);
    unmute.hidden = true;
    if (!stream) return;
    void play();
    noVideoTimer = setTimeout(() => {
      if (!hasVideo && !isPictureOff(state))
        coverText.textContent = "The stranger is connected but shows no video.";
    }, FIRST_FRAME_MS_MAX);
  }

  function render(): void {
    const words = coverWords(state, mode(), insisted());
    why.textContent = modeWords[mode()].why;
    coverTitle.textContent = words.title;
    coverText.textContent = words.text;
    // Only outside a room, where interests still count; a short drop then does not move the layout.
    const isOutsideRoom = !("roomId" in state) || state.roomId === undefined;
    wishes.hidden = !isOutsideRoom;
    why.hidden = state.status !== "idle" || elements.localVideo.srcObject !== null;
    const isOff = isPictureOff(state);
    cover.ariaBusy = String(!isOutsideRoom && !hasVideo && !isOff);
    remoteVideo.dataset["off"] = String(isOff);
    // The last frame of a camera that was turned off would look like a frozen call.
    cover.hidden = hasVideo && !isOff && elements.trouble.hidden;
  }

  return {
    show(next) {
      state = next;
      attach("remote" in next ? (next.remote ?? null) : null);
      list(shared, "sharedInterests" in next ? (next.sharedInterests ?? []) : []);
      list(partnerFacts, "partnerFacts" in next ? partnerFactsWords(next.partnerFacts ?? {}) : []);
      render();
    },
  };
}

function list(element: HTMLUListElement, texts: readonly string[]): void {
  element.hidden = texts.length === 0;
  element.replaceChildren(
    ...texts.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}
