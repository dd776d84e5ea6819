/** Announces each deadline that comes to be the earliest. */
export class DeadlineNotifier {
  #earliest = Number.POSITIVE_INFINITY;
  #listener: ((at: number) => void) | undefined;

  /** The earliest deadline that is known; `undefined`: there is none. */
  get earliest(): number | undefined {
    return Number.isFinite(this.#earliest) ? this.#earliest : undefined;
  }

  /** A deadline was set (epoch milliseconds of the engine's clock). */
  notify(at: number): void {
    if (at >= this.#earliest) return;
    this.#earliest = at;
    this.#listener?.(at);
  }

  /** A sweep has found out which deadline is the earliest; `undefined`: there is none. */
  reset(earliest: number | undefined): void {
    this.#earliest = earliest ?? Number.POSITIVE_INFINITY;
  }

  /** Replaces the listener, which is called at once if there is a deadline. */
  listen(listener: (at: number) => void): void {
    this.#listener = listener;
    if (Number.isFinite(this.#earliest)) listener(this.#earliest);
  }
}
