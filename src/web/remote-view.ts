/** The partner's video, and the button for sound where the browser blocks it. */
import type { PeerStreamState } from "../client/state.ts";
import type { Mode } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { partnerFactsWords } from "./facts-words.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { createPictureView } from "./picture-view.ts";
import { coverWords, isPictureOff } from "./words.ts";

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
  language: LanguageChoice,
  {
    painted,
    insisted,
    mode,
  }: { painted: () => void; insisted: () => readonly string[]; mode: () => Mode },
): RemoteView {
  const { remoteVideo, cover, coverTitle, coverText, mutedBadge, swipeHint } = elements;
  const { why, wishes, unmute, shared, partnerFacts } = elements;
  const picture = createPictureView(elements);
  const play = bindSound(elements);
  let state: PeerStreamState = { status: "idle" };
  let hasVideo = false;
  let isLate = false;
  let noVideoTimer: ReturnType<typeof setTimeout> | undefined;

  remoteVideo.addEventListener("resize", onFrame);
  remoteVideo.addEventListener("playing", onFrame);

  function onFrame(): void {
    hasVideo = remoteVideo.srcObject !== null && remoteVideo.videoWidth > 0;
    if (hasVideo) painted();
    picture.arrange();
    render();
  }

  function attach(stream: MediaStream | null): void {
    if (remoteVideo.srcObject === stream) return;
    remoteVideo.srcObject = stream;
    hasVideo = false;
    isLate = false;
    clearTimeout(noVideoTimer);
    unmute.hidden = true;
    picture.arrange();
    if (!stream) return;
    void play();
    noVideoTimer = setTimeout(() => {
      isLate = true;
      render();
    }, FIRST_FRAME_MS_MAX);
  }

  function render(): void {
    const words = coverWords(state, language.current, mode(), insisted());
    why.textContent = language.current.strings.modes[mode()].why;
    coverTitle.textContent = words.title;
    const isOff = isPictureOff(state);
    const isTogether = state.status === "connected" && state.mode !== "text";
    const isMissing = isTogether && isLate && !hasVideo && !isOff;
    coverText.textContent = isMissing ? language.current.strings.cover.noVideo : words.text;
    // Only outside a room, where interests still count; a short drop then does not move the layout.
    const isOutsideRoom = !("roomId" in state) || state.roomId === undefined;
    wishes.hidden = !isOutsideRoom;
    why.hidden = state.status !== "idle" || elements.localVideo.srcObject !== null;
    // A face in place of a picture that is not sent, with what is not sent crossed out.
    const media = "partnerMedia" in state ? state.partnerMedia : undefined;
    cover.toggleAttribute("data-portrait", isTogether && (isOff || isMissing));
    mutedBadge.toggleAttribute("hidden", media?.audio !== false);
    swipeHint.hidden = state.status !== "connecting";
    cover.ariaBusy = String(!isOutsideRoom && !hasVideo && !isOff && !isMissing);
    remoteVideo.dataset["off"] = String(isOff);
    // The last frame of a camera that was turned off would look like a frozen call.
    cover.hidden = hasVideo && !isOff && elements.trouble.hidden;
  }

  return {
    show(next) {
      state = next;
      attach("remote" in next ? (next.remote ?? null) : null);
      list(shared, "sharedInterests" in next ? (next.sharedInterests ?? []) : []);
      list(
        partnerFacts,
        "partnerFacts" in next ? partnerFactsWords(next.partnerFacts ?? {}, language.current) : [],
      );
      render();
    },
  };
}

/** Returns a function that plays the partner's video: without sound until the user asks for it where the browser wants that. */
function bindSound({ remoteVideo, unmute }: Elements): () => Promise<void> {
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

  unmute.addEventListener("click", () => {
    remoteVideo.muted = false;
    unmute.hidden = true;
    void play();
  });
  return play;
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
