/** The call statistics. */
import type { CallStats } from "../client/call-stats.ts";
import type { Elements } from "./elements.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { statsWords } from "./stats-words.ts";

const REFRESH_EVERY_MS = 1000;

/** The panel with the statistics of the call. */
export interface StatsView {
  /** Sets the current room, if any. The time to the first frame is measured from this call on. */
  room(roomId: string | undefined): void;
  /** A frame of the partner's video has been shown. */
  painted(): void;
}

/** Binds the panel and its button. `read` is called once a second while the panel is open. */
export function createStatsView(
  elements: Elements,
  language: LanguageChoice,
  read: () => Promise<CallStats | undefined>,
): StatsView {
  const { stats, statsToggle, statsList } = elements;
  let timer: ReturnType<typeof setInterval> | undefined;
  let room: string | undefined;
  let enteredAt = 0;
  let firstFrameMs: number | undefined;

  statsToggle.addEventListener("click", () => open(statsToggle.ariaExpanded !== "true"));

  function open(isOpen: boolean): void {
    clearInterval(timer);
    statsToggle.ariaExpanded = String(isOpen);
    stats.hidden = !isOpen;
    if (!isOpen) return;
    timer = setInterval(() => void refresh(), REFRESH_EVERY_MS);
    void refresh();
  }

  async function refresh(): Promise<void> {
    const current = await read();
    const rows = current ? statsWords(current, firstFrameMs, language.current) : [];
    statsList.replaceChildren(
      ...rows.flatMap(([name, value]) => {
        const term = document.createElement("dt");
        term.textContent = name;
        const text = document.createElement("dd");
        text.textContent = value;
        return [term, text];
      }),
    );
  }

  return {
    room(next) {
      if (next === room) return;
      room = next;
      enteredAt = performance.now();
      firstFrameMs = undefined;
      if (next === undefined) open(false);
    },
    painted() {
      firstFrameMs ??= performance.now() - enteredAt;
    },
  };
}
