/** How many peers are online, in the top bar. */
import type { Elements } from "./elements.ts";
import { plural } from "./language.ts";
import type { LanguageChoice } from "./language-choice.ts";

/** How often the number of online peers is requested while the page is visible (milliseconds). */
const REFRESH_EVERY_MS = 15_000;

/** Shows how many peers are online. `request` asks the server; it is not called while the page is hidden. */
export class OnlineCount {
  readonly #elements: Elements;
  readonly #language: LanguageChoice;
  readonly #request: () => Promise<number>;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(elements: Elements, language: LanguageChoice, request: () => Promise<number>) {
    this.#elements = elements;
    this.#language = language;
    this.#request = request;
    this.#start();
    document.addEventListener("visibilitychange", () => this.#start());
  }

  show(count: number): void {
    const { onlineLine, online } = this.#elements;
    const { current } = this.#language;
    // Nobody is greeted with how empty it is.
    onlineLine.hidden = count < 2;
    online.textContent = plural(current, current.strings.page.online, count);
  }

  async refresh(): Promise<void> {
    if (document.hidden) return;
    try {
      this.show(await this.#request());
    } catch {
      // The status line reports what is wrong; the last count stays.
    }
  }

  /** Refreshes now and then periodically. A new timer, because browsers slow down the one of a hidden page. */
  #start(): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.refresh(), REFRESH_EVERY_MS);
    void this.refresh();
  }
}
