/** The demo page: binds a peer stream to what is on the page. */
import { createPeerStream } from "../client/peer-stream.ts";
import type { PeerStreamState } from "../client/state.ts";
import { createChatView } from "./chat-view.ts";
import { findElements } from "./elements.ts";
import { parseInterests, spokenLanguages } from "./interests.ts";
import { createLocalMedia } from "./local-media.ts";
import { createRemoteView } from "./remote-view.ts";
import { onlineWords, statusWords } from "./words.ts";

const STATS_EVERY_MS = 15_000;
const INTERESTS_KEY = "peer-stream.interests";

function run(): void {
  const elements = findElements();
  const { status, start, next, stop, online, interests, wishes, second, banner } = elements;
  const drawn = new URLSearchParams(location.search).get("fake") === "1";
  const peer = createPeerStream();
  const remote = createRemoteView(elements);
  const chat = createChatView(elements, (text) => peer.sendChat(text));
  const media = createLocalMedia(elements, {
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
    status.textContent = "Opening your camera…";
    const ready = await media.ready();
    if (mine !== press) return;
    if (!ready) return void (status.textContent = elements.troubleTitle.textContent);
    const { stream } = media;
    peer.start({
      interests: parseInterests(interests.value),
      languages: spokenLanguages(navigator.languages),
      ...(stream && { stream }),
    });
    show(peer.state);
  }

  function show(state: PeerStreamState): void {
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
      showOnline((await peer.stats()).online);
    } catch {
      // The status line says what is wrong; the last count stays.
    }
  }

  start.addEventListener("click", () => void begin());
  next.addEventListener("click", () => peer.next());
  stop.addEventListener("click", () => {
    press += 1;
    peer.stop();
    show(peer.state);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat || event.isComposing || event.defaultPrevented)
      return;
    if (peer.state.status !== "idle") peer.next();
  });
  wishes.addEventListener("submit", (event) => {
    event.preventDefault();
    if (peer.state.status === "idle") void begin();
    else interests.blur();
  });
  interests.addEventListener("change", () => {
    remember(interests.value);
    // While waiting, new wishes replace the old ones and the place is kept.
    const { state } = peer;
    if (state.status !== "idle" && !("roomId" in state)) void begin();
  });

  interests.value = recall();
  second.hidden = !drawn;
  second.href = `${location.pathname}?fake=1`;
  if (drawn) void media.ready();
  peer.subscribe(show);
  peer.onChat(({ from, text }) => chat.add(from, text));
  show(peer.state);
  void count();
  let counting = setInterval(count, STATS_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    clearInterval(counting);
    counting = setInterval(count, STATS_EVERY_MS);
    void count();
  });
}

function list(words: readonly string[]): string {
  return new Intl.ListFormat("en").format(words);
}

function remember(line: string): void {
  try {
    localStorage.setItem(INTERESTS_KEY, line);
  } catch {
    // Then it is typed again next time.
  }
}

function recall(): string {
  try {
    return localStorage.getItem(INTERESTS_KEY) ?? "";
  } catch {
    return "";
  }
}

run();
