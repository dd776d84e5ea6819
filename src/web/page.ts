/** The demo page: connects a peer stream to the elements of the page. */
import { createPeerStream } from "../client/peer-stream.ts";
import type { ReportReason, Rules } from "../protocol.ts";
import type { PeerStreamError, PeerStreamState } from "../client/state.ts";
import type { ReportDetails } from "../client/types.ts";
import { createAgainView } from "./again-view.ts";
import { createCallLine } from "./call-line.ts";
import { createChatView } from "./chat-view.ts";
import { aboutStrangerWords } from "./facts-words.ts";
import { createChoicesView } from "./choices-view.ts";
import { findElements, type Elements } from "./elements.ts";
import { parseInterests } from "./interests.ts";
import { createLanguageChoice, type LanguageChoice } from "./language-choice.ts";
import { LocalMedia } from "./local-media.ts";
import { createModeChoice } from "./mode-choice.ts";
import { OnlineCount } from "./online-count.ts";
import { createRemoteView } from "./remote-view.ts";
import { createReportView } from "./report-view.ts";
import { createRulesView } from "./rules-view.ts";
import { createSanctionView } from "./sanction-view.ts";
import { createSecondPress } from "./second-press.ts";
import { createSettingsView } from "./settings-view.ts";
import { becomeSolver, prepareSolver } from "./solver.ts";
import { createSourceTools } from "./source-tools.ts";
import { createStatsView } from "./stats-view.ts";
import { recall, remember } from "./storage.ts";
import { bindSwipe } from "./swipe.ts";
import { errorWords, isPictureOff, sharedInterestsWords, statusWords } from "./words.ts";

/** What all parts of the page are made with. */
class Surface {
  protected readonly elements: Elements;
  protected readonly language: LanguageChoice;

  constructor(elements: Elements, language: LanguageChoice) {
    this.elements = elements;
    this.language = language;
  }
}

class Page extends Surface {
  /** Whether the page was opened with `?fake=1`, to be tried without a camera. */
  readonly #isSynthetic = new URLSearchParams(location.search).get("fake") === "1";
  readonly #peer = createPeerStream({ challengeWorker: prepareSolver() });
  readonly #stats = createStatsView(this.elements, this.language, () => this.#peer.stats());
  readonly #modes = createModeChoice(this.elements, () => {
    if (this.#peer.state.status === "idle") this.#show(this.#peer.state);
    else void this.#begin();
  });
  readonly #chat = createChatView(this.elements, this.language, {
    say: (text) => this.#peer.sendChat(text),
    typing: (typing) => this.#peer.sendTyping(typing),
  });
  readonly #again = createAgainView(this.elements, this.language, {
    ask: () => this.#peer.again(),
    say: (text) => this.#chat.add("page", text),
  });
  readonly #choices = createChoicesView(this.elements, this.language, {
    request: () => this.#peer.site(),
    changed: () => this.#wishesChanged(),
  });
  readonly #remote = createRemoteView(this.elements, this.language, {
    insisted: () => this.#choices.insisted,
    mode: () => this.#modes.mode,
    painted: () => this.#stats.painted(),
  });
  readonly #callLine = createCallLine(this.elements, this.language);
  readonly #online = new OnlineCount(
    this.elements,
    this.language,
    async () => (await this.#peer.counts(this.#choices.lobby)).online,
  );
  readonly #media = new LocalMedia(this.elements, this.#peer.camera, {
    isSynthetic: this.#isSynthetic,
    language: this.language,
    listener: {
      changed: (stream) => {
        this.#send(stream);
        this.#show(this.#peer.state);
      },
      failed: () => this.#show(this.#peer.state),
      chosen: () => void (this.#isPreviewing ? this.#show(this.#peer.state) : this.#begin()),
      muted: async ({ audio, video }) => {
        void this.#peer.setMuted({ audio });
        return this.#peer.setMuted({ video, release: true });
      },
    },
  });
  readonly #sources = createSourceTools(this.elements, this.#peer, () => this.#media.hasCamera);
  readonly #settings = createSettingsView(this.elements, this.#peer.camera, this.language, {
    chosen: (choice) => void this.#media.choose(choice),
    relayOnlyChanged: () => this.#wishesChanged(),
  });
  readonly #report = createReportView(this.elements, this.language, {
    still: async () => {
      const { remoteVideo } = this.elements;
      return isPictureOff(this.#peer.state) ? undefined : this.#peer.still(remoteVideo);
    },
    messages: () => this.#peer.recentMessages(),
    report: (reason, details) => void this.#sendReport(reason, details),
  });
  readonly #sanctions = createSanctionView(this.elements, this.language);
  readonly #rules = createRulesView(this.elements, this.language, () => this.#peer.site());
  /** The refusal by which the user was asked to agree to other rules. */
  #disagreed: PeerStreamError | undefined;
  readonly #skip = createSecondPress({
    needed: () => this.#seesPartner,
    armed: (armed) => this.#askForSecondPress(armed, "next"),
    act: () => this.#peer.next(),
  });
  readonly #block = createSecondPress({
    needed: () => this.#seesPartner,
    armed: (armed) => this.#askForSecondPress(armed, "block"),
    act: () => void this.#peer.block(),
  });
  /** Counts the presses of Start and Stop: a camera that opens after Stop must not start the search. */
  #press = 0;
  #roomId: string | undefined;
  /** The camera was opened to be looked at, not for the search. */
  #isPreviewing = false;
  /** Whether the camera is sent, whichever it is: at first it is. */
  #sendsCamera = true;

  constructor(elements: Elements, language: LanguageChoice) {
    super(elements, language);
    const { interests, second } = this.elements;
    interests.value = recall("interests");
    second.hidden = !this.#isSynthetic;
    second.href = `${location.pathname}?fake=1`;
    this.#bindControls();
    this.#bindInterests();
    if (this.#isSynthetic) void this.#media.ready();
    language.subscribe(() => {
      this.#show(this.#peer.state);
      void this.#online.refresh();
    });
    this.#peer.subscribe((state) => this.#show(state));
    this.#peer.onEvent((event) => {
      if (event.type === "chat") this.#chat.add(event.from, event.text, event.id);
      else if (event.type === "warning") this.#sanctions.warn(event);
      else if (event.type === "typing") this.#chat.typing(event.typing);
      else if (event.type === "chat-undelivered") this.#chat.undelivered(event.id);
    });
    this.#show(this.#peer.state);
  }

  #bindControls(): void {
    const { start, preview, next, stop, block, room } = this.elements;
    preview.addEventListener("click", () => void this.#preview());
    bindSwipe(room, () => {
      if (this.#roomId !== undefined) this.#peer.next();
    });
    this.#bindExtras();
    start.addEventListener("click", () => void this.#begin());
    next.addEventListener("click", () => this.#skip.press());
    block.addEventListener("click", () => this.#block.press());
    stop.addEventListener("click", () => {
      this.#press += 1;
      this.#peer.stop();
      this.#show(this.#peer.state);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.repeat || event.isComposing || event.defaultPrevented)
        return;
      // An open dialog is closed by Escape.
      if (document.querySelector("dialog[open]")) return;
      if (this.#peer.state.status !== "idle") this.#skip.press();
    });
  }

  /** On a small screen some of the tools are in a panel, which the next press anywhere puts away. */
  #bindExtras(): void {
    const { more, extras } = this.elements;
    const open = (isOpen: boolean) => {
      more.ariaExpanded = String(isOpen);
      extras.toggleAttribute("data-open", isOpen);
    };
    more.addEventListener("click", () => open(more.ariaExpanded !== "true"));
    extras.addEventListener("click", ({ target }) => {
      if (more.ariaExpanded !== "true" || !(target instanceof Element)) return;
      // Block takes a second press.
      if (!target.closest("button:not(#block)")) return;
      open(false);
      more.focus();
    });
    document.addEventListener("pointerdown", ({ target }) => {
      if (target instanceof Node && !extras.contains(target) && !more.contains(target)) open(false);
    });
    document.addEventListener(
      "keydown",
      (event) => {
        if (event.key !== "Escape" || more.ariaExpanded !== "true") return;
        // Not also a press of Next.
        event.preventDefault();
        open(false);
        more.focus();
      },
      { capture: true },
    );
  }

  /** The peer itself follows the camera through its changes: another choice would end the sharing of a screen. */
  #send(stream: MediaStream | undefined): void {
    const isCamera = stream !== undefined && stream === this.#peer.camera.stream;
    if (isCamera && this.#sendsCamera) return;
    this.#sendsCamera = isCamera;
    void this.#peer.setSource(isCamera ? "camera" : stream);
  }

  /** Opens the devices to be looked at and listened to before the search. */
  async #preview(): Promise<void> {
    const { start, preview, status, troubleTitle } = this.elements;
    const { mode } = this.#modes;
    if (mode === "text") return;
    this.#isPreviewing = true;
    this.#media.wantVideo(mode === "video");
    status.textContent = this.language.current.strings.status.openingDevices[mode];
    const hadFocus = document.activeElement === preview;
    const isReady = await this.#media.ready();
    if (!this.#isPreviewing) return;
    if (!isReady) return void (status.textContent = troubleTitle.textContent);
    this.#show(this.#peer.state);
    if (hadFocus && preview.hidden) start.focus();
  }

  #bindInterests(): void {
    const { wishes, interests } = this.elements;
    wishes.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#peer.state.status === "idle") void this.#begin();
      else interests.blur();
    });
    interests.addEventListener("change", () => {
      remember("interests", interests.value);
      // Starting again while waiting replaces the preferences and keeps the place in the lobby.
      const { state } = this.#peer;
      if (state.status !== "idle" && !("roomId" in state)) void this.#begin();
    });
  }

  /** Starting again replaces the wishes: of a peer that waits, which keeps its place, at once; in a room from the next search on. */
  #wishesChanged(): void {
    if (this.#peer.state.status !== "idle") void this.#begin();
    void this.#online.refresh();
  }

  async #begin(): Promise<void> {
    const press = ++this.#press;
    this.#isPreviewing = false;
    const { rules, status: words } = this.language.current.strings;
    const { status, interests, troubleTitle } = this.elements;
    const { mode } = this.#modes;
    const agreed = await this.#rules.agree();
    if (press !== this.#press) return;
    if (agreed === undefined) return void (status.textContent = rules.declined);
    if (mode === "text") this.#media.rest();
    else {
      // Without WebRTC `start` fails and says so; asking for a camera first would be pointless.
      if (typeof RTCPeerConnection === "undefined") return this.#peer.start({ mode });
      this.#media.wantVideo(mode === "video");
      if (!this.#media.stream) status.textContent = words.openingDevices[mode];
      const isReady = await this.#media.ready();
      if (press !== this.#press) return;
      if (!isReady) return void (status.textContent = troubleTitle.textContent);
    }
    await this.#choices.known();
    if (press !== this.#press) return;
    this.#peer.start({
      mode,
      interests: parseInterests(interests.value),
      languages: navigator.languages.slice(0, 5),
      relayOnly: this.#settings.relayOnly,
      ...this.#choices.wishes,
      ...(agreed !== "" && { agreed }),
    });
    this.#show(this.#peer.state);
  }

  /** The rules are other ones than those that the user has agreed to. */
  #askAgain(state: PeerStreamState): void {
    if (state.status !== "idle" || state.error === this.#disagreed) return;
    const { error } = state;
    if (error?.kind !== "rejected" || error.challenge?.kind !== "rules") return;
    this.#disagreed = error;
    this.#rules.changed(error.challenge as unknown as Rules);
    void this.#begin();
  }

  async #sendReport(reason: ReportReason, details: ReportDetails): Promise<void> {
    const outcome = await this.#peer.report(reason, details);
    const { current } = this.language;
    const text = outcome.ok ? current.strings.report.sent : errorWords(outcome.error, current);
    this.#chat.add("page", text);
  }

  get #seesPartner(): boolean {
    return isTogether(this.#peer.state);
  }

  #askForSecondPress(armed: boolean, what: "next" | "block"): void {
    this.elements[what].toggleAttribute("data-armed", armed);
    this.#showStatus(this.#peer.state);
  }

  /** The status line, and the two buttons that take a second press: after the first one both ask for it. */
  #showStatus(state: PeerStreamState): void {
    const { next, nextLabel, block, blockLabel, status } = this.elements;
    const { controls } = this.language.current.strings;
    const [asksNext, asksBlock] = [next, block].map((button) => button.hasAttribute("data-armed"));
    nextLabel.textContent = asksNext ? controls.confirm : controls.next;
    blockLabel.textContent = asksBlock ? controls.confirm : controls.block;
    const question = asksNext ? controls.confirmNext : controls.confirmBlock;
    const words = asksNext || asksBlock ? question : statusWords(state, this.language.current);
    // Only if it changed: a screen reader announces every write to a live region.
    if (status.textContent !== words) status.textContent = words;
  }

  #show(state: PeerStreamState): void {
    const { status, banner } = this.elements;
    // A first press counts for the stranger that was there, whatever else has changed since.
    const roomId = "roomId" in state ? state.roomId : undefined;
    if (!isTogether(state) || roomId !== this.#roomId) {
      this.#skip.disarm();
      this.#block.disarm();
    }
    this.#showStatus(state);
    status.dataset["state"] = state.status;
    document.body.dataset["state"] = state.status;
    document.body.dataset["mode"] = ("mode" in state && state.mode) || this.#modes.mode;
    banner.hidden = !(state.status === "reconnecting" && state.remote);
    banner.textContent = statusWords(state, this.language.current);
    this.#remote.show(state);
    this.#callLine.show(state);
    this.#sources.show(state);
    this.#showControls(state);
    this.#askAgain(state);
    this.#again.show(state);
    this.#sanctions.show(state);
    this.#showRoom(state);
    if ("online" in state && state.online !== undefined) this.#online.show(state.online);
    if (state.status === "connected") void this.#online.refresh();
  }

  #showControls(state: PeerStreamState): void {
    const { start, preview, next, stop, tools } = this.elements;
    const isIdle = state.status === "idle";
    const focused = document.activeElement;
    start.hidden = !isIdle;
    preview.hidden = !isIdle || this.#modes.mode === "text" || this.#media.stream !== undefined;
    tools.hidden = !("roomId" in state && state.roomId) && this.#media.stream === undefined;
    this.#media.meter(isIdle && this.#modes.mode !== "text");
    next.hidden = isIdle;
    stop.hidden = isIdle;
    next.ariaDisabled = String(!("roomId" in state) || state.roomId === undefined);
    // When the focused control is hidden, the focus moves to the one in its place.
    if (isIdle && (focused === next || focused === stop)) start.focus();
    if (!isIdle && focused === start) next.focus();
  }

  #showRoom(state: PeerStreamState): void {
    const { current } = this.language;
    const { strings } = current;
    const roomId = "roomId" in state ? state.roomId : undefined;
    document.body.toggleAttribute("data-in-room", roomId !== undefined);
    this.#stats.room(roomId);
    const chosenWay = this.#modes.mode === "text" ? "server" : "direct";
    this.#chat.way(("chat" in state && state.chat) || chosenWay);
    this.#chat.enable(isTogether(state));
    if (roomId !== undefined && roomId !== this.#roomId) {
      this.#chat.clear();
      if (this.#report.close()) this.#chat.add("page", strings.report.overtaken);
      const shared = "sharedInterests" in state ? (state.sharedInterests ?? []) : [];
      if (shared.length > 0) this.#chat.add("page", sharedInterestsWords(shared, current));
      const facts = "partnerFacts" in state ? (state.partnerFacts ?? {}) : {};
      if (Object.keys(facts).length > 0) this.#chat.add("page", aboutStrangerWords(facts, current));
    }
    if (this.#roomId !== undefined && roomId === undefined && "ended" in state && state.ended)
      this.#chat.add("page", strings.chat.over);
    this.#roomId = roomId;
  }
}

/** Whether the two have been connected with each other; text through the server is at once, and may be sent while that is away. */
function isTogether(state: PeerStreamState): boolean {
  if (state.status === "connected" || ("remote" in state && state.remote !== undefined))
    return true;
  return state.status === "reconnecting" && state.mode === "text";
}

async function open(): Promise<void> {
  const elements = findElements();
  new Page(elements, await createLanguageChoice(elements));
}

if (!becomeSolver()) void open();
