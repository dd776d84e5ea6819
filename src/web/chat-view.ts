/** The chat: messages, the message field, and the typing indicator. */
import type { Chat } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { fill, plural } from "./language.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { recall, remember } from "./storage.ts";
import type { Strings } from "./strings/en.ts";

const LINES_MAX = 300;
/** The user has stopped typing when no key was pressed for this long (milliseconds). */
const TYPING_PAUSE_MS = 3000;

/** So close to the end of the log counts as at it. */
const END_PX = 24;

/** The chat. */
export interface ChatView {
  /**
   * Adds a line, always as text, never as markup. `page` lines come from the page itself.
   * @param id of one that may turn out to be undelivered.
   */
  add(from: "me" | "partner" | "page", text: string, id?: number): void;
  /** Marks a line as not delivered, if it is still shown. */
  undelivered(id: number): void;
  /** Shows or hides the typing indicator. */
  typing(typing: boolean): void;
  /** Empties the log. Called for each new partner, so that no line of an earlier conversation stays. */
  clear(): void;
  /** Says which way messages take. */
  way(chat: Chat): void;
  enable(on: boolean): void;
}

/** What the chat asks the page to do. */
export interface ChatActions {
  /** Returns whether the text was sent. */
  say(text: string): boolean;
  typing(typing: boolean): void;
}

/** Binds the chat form and log. */
export function createChatView(
  elements: Elements,
  language: LanguageChoice,
  actions: ChatActions,
): ChatView {
  const { chatLog, chatEmpty, chatForm, chatInput, chatSend, typing: indicator } = elements;
  const drawer = createDrawer(elements, language);
  let way: Chat = "direct";
  let typingTimer: ReturnType<typeof setTimeout> | undefined;

  chatForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = chatInput.value.trim();
    if (text !== "" && actions.say(text)) {
      chatInput.value = "";
      // The message itself ends the typing indicator at the partner.
      clearTimeout(typingTimer);
    }
    chatInput.focus();
  });
  chatInput.addEventListener("input", () => {
    clearTimeout(typingTimer);
    if (chatInput.value.trim() === "") return stopTyping();
    typingTimer = setTimeout(stopTyping, TYPING_PAUSE_MS);
    actions.typing(true);
  });

  keepEndInView(chatLog);
  language.subscribe(showWords);

  function showWords(): void {
    const { chat } = language.current.strings;
    chatEmpty.textContent = chat[way];
    chatInput.placeholder = chatInput.disabled ? chat.closed : chat.example;
  }

  function stopTyping(): void {
    actions.typing(false);
  }

  function showTyping(typing: boolean): void {
    indicator.hidden = !typing;
  }

  return {
    add(from, text, id) {
      chatLog.append(createLine({ from, text, id }, language.current.strings));
      while (chatLog.childElementCount > LINES_MAX) chatLog.firstElementChild?.remove();
      chatLog.scrollTop = chatLog.scrollHeight;
      chatEmpty.hidden = true;
      if (from === "partner") drawer.received();
    },
    undelivered(id) {
      const line = chatLog.querySelector<HTMLElement>(`[data-id="${id}"]`);
      if (!line) return;
      line.toggleAttribute("data-undelivered", true);
      const note = document.createElement("span");
      note.className = "note";
      note.textContent = language.current.strings.chat.undelivered;
      line.append(note);
    },
    typing: showTyping,
    clear() {
      chatLog.replaceChildren();
      chatEmpty.hidden = false;
      showTyping(false);
    },
    way(chat) {
      way = chat;
      showWords();
    },
    enable(on) {
      chatInput.disabled = !on;
      chatSend.disabled = !on;
      showWords();
      if (!on) showTyping(false);
    },
  };
}

/** The button that puts the chat away, and says what has been missed since. */
function createDrawer({ chatToggle, unread, chatLog }: Elements, language: LanguageChoice) {
  let missed = 0;

  function open(isOpen: boolean): void {
    document.body.toggleAttribute("data-chat-away", !isOpen);
    chatToggle.ariaExpanded = String(isOpen);
    missed = 0;
    show();
    if (isOpen) chatLog.scrollTop = chatLog.scrollHeight;
  }

  function show(): void {
    const { current } = language;
    const { controls, chat } = current.strings;
    chatToggle.ariaLabel = missed > 0 ? plural(current, chat.unread, missed) : controls.chat;
    unread.hidden = missed === 0;
    unread.textContent = String(missed);
  }

  chatToggle.addEventListener("click", () => {
    const isOpen = chatToggle.ariaExpanded !== "true";
    remember("chat", isOpen ? "" : "away");
    open(isOpen);
  });
  language.subscribe(show);
  open(recall("chat") !== "away");
  return {
    received() {
      if (chatToggle.ariaExpanded === "true") return;
      missed += 1;
      show();
    },
  };
}

function createLine(
  {
    from,
    text,
    id,
  }: { from: Parameters<ChatView["add"]>[0]; text: string; id: number | undefined },
  { page, report }: Strings,
): HTMLElement {
  const line = document.createElement("p");
  line.dataset["from"] = from;
  if (id !== undefined) line.dataset["id"] = String(id);
  if (from !== "page") {
    // Colour and side tell the speakers apart on screen; this does so for screen readers.
    const who = document.createElement("span");
    who.className = "unseen";
    who.textContent = fill(report.quoted, {
      from: from === "me" ? page.you : page.stranger,
      text: "",
    });
    line.append(who);
  }
  // Isolated, so that bidirectional characters in it reorder nothing else.
  const words = document.createElement("bdi");
  words.textContent = text;
  line.append(words);
  return line;
}

/** The end of a log stays in view when the log becomes smaller, as for a keyboard or the typing indicator. */
function keepEndInView(log: HTMLElement): void {
  let isAtEnd = true;
  log.addEventListener("scroll", () => {
    isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  });
  new ResizeObserver(() => {
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }).observe(log);
}
