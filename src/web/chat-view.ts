/** The chat: messages, the message field, and the typing indicator. */
import type { Chat } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { chatWords } from "./words.ts";

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
export function createChatView(elements: Elements, actions: ChatActions): ChatView {
  const { chatLog, chatEmpty, chatForm, chatInput, chatSend, typing: indicator } = elements;
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

  // The end stays in view when the log becomes smaller, as for a keyboard or the typing indicator.
  let isAtEnd = true;
  chatLog.addEventListener("scroll", () => {
    isAtEnd = chatLog.scrollHeight - chatLog.scrollTop - chatLog.clientHeight < END_PX;
  });
  new ResizeObserver(() => {
    if (isAtEnd) chatLog.scrollTop = chatLog.scrollHeight;
  }).observe(chatLog);

  function stopTyping(): void {
    actions.typing(false);
  }

  function showTyping(typing: boolean): void {
    indicator.hidden = !typing;
  }

  return {
    add(from, text, id) {
      const line = document.createElement("p");
      line.dataset["from"] = from;
      if (id !== undefined) line.dataset["id"] = String(id);
      if (from !== "page") {
        // Colour and side tell the speakers apart on screen; this does so for screen readers.
        const who = document.createElement("span");
        who.className = "unseen";
        who.textContent = from === "me" ? "You: " : "Stranger: ";
        line.append(who);
      }
      // Isolated, so that bidirectional characters in it reorder nothing else.
      const words = document.createElement("bdi");
      words.textContent = text;
      line.append(words);
      chatLog.append(line);
      while (chatLog.childElementCount > LINES_MAX) chatLog.firstElementChild?.remove();
      chatLog.scrollTop = chatLog.scrollHeight;
      chatEmpty.hidden = true;
    },
    undelivered(id) {
      const line = chatLog.querySelector<HTMLElement>(`[data-id="${id}"]`);
      if (!line) return;
      line.toggleAttribute("data-undelivered", true);
      const note = document.createElement("span");
      note.className = "note";
      note.textContent = "Not delivered";
      line.append(note);
    },
    typing: showTyping,
    clear() {
      chatLog.replaceChildren();
      chatEmpty.hidden = false;
      showTyping(false);
    },
    way(chat) {
      chatEmpty.textContent = chatWords[chat];
    },
    enable(on) {
      chatInput.disabled = !on;
      chatSend.disabled = !on;
      if (!on) showTyping(false);
    },
  };
}
