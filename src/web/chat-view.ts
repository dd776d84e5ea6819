import type { Elements } from "./elements.ts";

const LINES_MAX = 300;

/** The chat's column on the page. */
export interface ChatView {
  /** Adds a line; `page` lines are the page's own words. Only ever as text. */
  add(from: "me" | "partner" | "page", text: string): void;
  /** Empties the log: what was said to one stranger is none of the next one's business. */
  clear(): void;
  enable(on: boolean): void;
}

/** Binds the chat's form and log. `say` returns whether the words went out. */
export function createChatView(elements: Elements, say: (text: string) => boolean): ChatView {
  const { chatLog, chatEmpty, chatForm, chatInput, chatSend } = elements;

  chatForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = chatInput.value.trim();
    if (text !== "" && say(text)) chatInput.value = "";
    chatInput.focus();
  });

  return {
    add(from, text) {
      const line = document.createElement("li");
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
    clear() {
      chatLog.replaceChildren();
      chatEmpty.hidden = false;
    },
    enable(on) {
      chatInput.disabled = !on;
      chatSend.disabled = !on;
    },
  };
}
