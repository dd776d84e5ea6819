import type { CallStats } from "../client/call-stats.ts";
import type { Elements } from "./elements.ts";
import { statsWords } from "./words.ts";

const EVERY_MS = 1000;

/** The panel that says how the call fares. */
export interface StatsView {
  /** The room there is now, if any; its stranger's first picture is waited for from here on. */
  room(roomId: string | undefined): void;
  /** The stranger's first picture has been painted. */
  painted(): void;
}

/** Binds the panel and its button; `look` asks for the figures, once a second while it is open. */
export function createStatsView(
  elements: Elements,
  look: () => Promise<CallStats | undefined>,
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
    timer = setInterval(() => void refresh(), EVERY_MS);
    void refresh();
  }

  async function refresh(): Promise<void> {
    const figures = await look();
    const rows = figures ? statsWords(figures, firstFrameMs) : [];
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
