/** How many peers are online, in the top bar. */
import { onlineWords } from "./words.ts";

/** How often the number of online peers is requested while the page is visible (milliseconds). */
const REFRESH_EVERY_MS = 15_000;

/** Shows how many peers are online. `request` asks the server; it is not called while the page is hidden. */
export class OnlineCount {
  readonly #element: HTMLElement;
  readonly #request: () => Promise<number>;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(element: HTMLElement, request: () => Promise<number>) {
    this.#element = element;
    this.#request = request;
    this.#start();
    document.addEventListener("visibilitychange", () => this.#start());
  }

  show(count: number): void {
    this.#element.textContent = onlineWords(count);
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
