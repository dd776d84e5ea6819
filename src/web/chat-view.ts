import type { Elements } from "./elements.ts";

const LINES_MAX = 300;
/** The user has stopped typing when no key was pressed for this long (milliseconds). */
const TYPING_RESTS_MS = 3000;

/** The chat's column on the page. */
export interface ChatView {
  /** Adds a line; `page` lines are the page's own words. Only ever as text. */
  add(from: "me" | "partner" | "page", text: string): void;
  /** The stranger is writing, or no longer. */
  typing(typing: boolean): void;
  /** Empties the log: what was said to one stranger is none of the next one's business. */
  clear(): void;
  enable(on: boolean): void;
}

/** What the chat brings about. */
export interface ChatActions {
  /** Returns whether the words went out. */
  say(text: string): boolean;
  typing(typing: boolean): void;
}

/** Binds the chat's form and log. */
export function createChatView(elements: Elements, actions: ChatActions): ChatView {
  const { chatLog, chatEmpty, chatForm, chatInput, chatSend, typing: sign } = elements;
  let idle: ReturnType<typeof setTimeout> | undefined;

  chatForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = chatInput.value.trim();
    if (text !== "" && actions.say(text)) {
      chatInput.value = "";
      // The message itself ends the sign on the other side.
      clearTimeout(idle);
    }
    chatInput.focus();
  });
  chatInput.addEventListener("input", () => {
    clearTimeout(idle);
    if (chatInput.value.trim() === "") return rest();
    idle = setTimeout(rest, TYPING_RESTS_MS);
    actions.typing(true);
  });

  function rest(): void {
    actions.typing(false);
  }

  function showSign(typing: boolean): void {
    sign.hidden = !typing;
  }

  return {
    add(from, text) {
      const line = document.createElement("p");
      line.dataset["from"] = from;
      if (from !== "page") {
        // Told apart by colour and side for the eye; for the ear, in words.
        const who = document.createElement("span");
        who.className = "unseen";
        who.textContent = from === "me" ? "You: " : "Stranger: ";
        line.append(who);
      }
      line.append(text);
      chatLog.append(line);
      while (chatLog.childElementCount > LINES_MAX) chatLog.firstElementChild?.remove();
      chatLog.scrollTop = chatLog.scrollHeight;
      chatEmpty.hidden = true;
    },
    typing: showSign,
    clear() {
      chatLog.replaceChildren();
      chatEmpty.hidden = false;
      showSign(false);
    },
    enable(on) {
      chatInput.disabled = !on;
      chatSend.disabled = !on;
      if (!on) showSign(false);
    },
  };
}
