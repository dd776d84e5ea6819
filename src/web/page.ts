/** The demo page: binds a peer stream to what is on the page. */
import { createPeerStream } from "../client/peer-stream.ts";
import type { PeerStreamState } from "../client/state.ts";
import { createChatView } from "./chat-view.ts";
import { findElements } from "./elements.ts";
import { parseInterests } from "./interests.ts";
import { createLocalMedia } from "./local-media.ts";
import { createRemoteView } from "./remote-view.ts";
import { recall, remember } from "./kept.ts";
import { createReportView } from "./report-view.ts";
import { createSecondPress } from "./second-press.ts";
import { createSettingsView } from "./settings-view.ts";
import { createStatsView } from "./stats-view.ts";
import { onlineWords, statusWords } from "./words.ts";

const COUNT_EVERY_MS = 15_000;

function run(): void {
  const elements = findElements();
  const { status, start, next, stop, online, interests, wishes, second, banner } = elements;
  const { about, block, nextLabel } = elements;
  const drawn = new URLSearchParams(location.search).get("fake") === "1";
  const peer = createPeerStream();
  const figures = createStatsView(elements, () => peer.stats());
  const remote = createRemoteView(elements, () => figures.painted());
  const chat = createChatView(elements, {
    say: (text) => peer.sendChat(text),
    typing: (typing) => peer.sendTyping(typing),
  });
  const settings = createSettingsView(elements, peer.camera, {
    chosen: (choice) => void media.choose(choice),
    wishChanged() {
      if (peer.state.status !== "idle") void begin();
    },
  });
  createReportView(elements, (reason) => void peer.report(reason));
  const skipping = createSecondPress({
    needed: seesSomebody,
    armed: (armed) => ask(armed, next, "Press Next once more to leave this stranger."),
    act: () => peer.next(),
  });
  const blocking = createSecondPress({
    needed: seesSomebody,
    armed: (armed) => ask(armed, block, "Press Block once more, and you never meet again."),
    act: () => void peer.block(),
  });
  const media = createLocalMedia(elements, peer.camera, {
    drawn,
    listener: {
      changed(stream) {
        void peer.replaceTracks(stream);
        show(peer.state);
      },
      troubled: () => show(peer.state),
      goOn: () => void begin(),
      muted: (muted) => peer.setMuted(muted),
    },
  });
  /** Counts the presses, so that a camera that takes its time cannot start what was stopped. */
  let press = 0;
  let room: string | undefined;

  async function begin(): Promise<void> {
    const mine = ++press;
    // Nobody is asked for a camera that can't be used: `start` says what is missing.
    if (typeof RTCPeerConnection === "undefined") return peer.start();
    if (!media.stream)
      status.textContent = "Waiting for your camera. Please allow it if your browser asks.";
    const ready = await media.ready();
    if (mine !== press) return;
    if (!ready) return void (status.textContent = elements.troubleTitle.textContent);
    const { stream } = media;
    peer.start({
      interests: parseInterests(interests.value),
      languages: navigator.languages.slice(0, 5),
      relayOnly: settings.relayOnly,
      ...(stream && { stream }),
    });
    show(peer.state);
  }

  function seesSomebody(): boolean {
    const { state } = peer;
    return "remote" in state && state.remote !== undefined;
  }

  /** Asks for the second press where the person looks, and where a screen reader listens. */
  function ask(armed: boolean, button: HTMLButtonElement, words: string): void {
    button.toggleAttribute("data-armed", armed);
    nextLabel.textContent = next.hasAttribute("data-armed") ? "Sure? Next" : "Next";
    block.textContent = block.hasAttribute("data-armed") ? "Sure? Block" : "Block";
    status.textContent = armed ? words : statusWords(peer.state);
  }

  function show(state: PeerStreamState): void {
    skipping.disarm();
    blocking.disarm();
    const words = statusWords(state);
    // Said only when it changes: a live region is read out at every write.
    if (status.textContent !== words) status.textContent = words;
    status.dataset["state"] = state.status;
    document.body.dataset["state"] = state.status;
    banner.hidden = !(state.status === "reconnecting" && state.remote);
    banner.textContent = words;
    remote.show(state);
    showControls(state);
    if ("online" in state && state.online !== undefined) showOnline(state.online);

    const inRoom = "roomId" in state ? state.roomId : undefined;
    document.body.toggleAttribute("data-in-room", inRoom !== undefined);
    about.hidden = inRoom === undefined;
    figures.room(inRoom);
    chat.enable(state.status === "connected" || ("remote" in state && state.remote !== undefined));
    if (inRoom !== undefined && inRoom !== room) {
      chat.clear();
      const shared = "sharedInterests" in state ? (state.sharedInterests ?? []) : [];
      if (shared.length > 0) chat.add("page", `You both like ${list(shared)}.`);
    }
    if (room !== undefined && inRoom === undefined && "ended" in state && state.ended) {
      chat.add("page", "This conversation is over.");
    }
    room = inRoom;
    if (state.status === "connected") void count();
  }

  function showControls(state: PeerStreamState): void {
    const idle = state.status === "idle";
    const focused = document.activeElement;
    start.hidden = !idle;
    next.hidden = idle;
    stop.hidden = idle;
    next.ariaDisabled = String(!("roomId" in state) || state.roomId === undefined);
    // The focus stays on the controls when the focused one goes.
    if (idle && (focused === next || focused === stop)) start.focus();
    if (!idle && focused === start) next.focus();
  }

  function showOnline(count: number): void {
    online.textContent = onlineWords(count);
  }

  async function count(): Promise<void> {
    if (document.hidden) return;
    try {
      showOnline((await peer.counts()).online);
    } catch {
      // The status line says what is wrong; the last count stays.
    }
  }

  start.addEventListener("click", () => void begin());
  next.addEventListener("click", () => skipping.press());
  block.addEventListener("click", () => blocking.press());
  stop.addEventListener("click", () => {
    press += 1;
    peer.stop();
    show(peer.state);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat || event.isComposing || event.defaultPrevented)
      return;
    // In a dialog it closes that.
    if (document.querySelector("dialog[open]")) return;
    if (peer.state.status !== "idle") skipping.press();
  });
  wishes.addEventListener("submit", (event) => {
    event.preventDefault();
    if (peer.state.status === "idle") void begin();
    else interests.blur();
  });
  interests.addEventListener("change", () => {
    remember("interests", interests.value);
    // While waiting, new wishes replace the old ones and the place is kept.
    const { state } = peer;
    if (state.status !== "idle" && !("roomId" in state)) void begin();
  });

  interests.value = recall("interests");
  second.hidden = !drawn;
  second.href = `${location.pathname}?fake=1`;
  if (drawn) void media.ready();
  peer.subscribe(show);
  peer.onEvent((event) => {
    if (event.type === "chat") chat.add(event.from, event.text);
    else chat.typing(event.typing);
  });
  show(peer.state);
  void count();
  let counting = setInterval(count, COUNT_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    clearInterval(counting);
    counting = setInterval(count, COUNT_EVERY_MS);
    void count();
  });
}

function list(words: readonly string[]): string {
  return new Intl.ListFormat("en").format(words);
}

run();
