/** What the page remembers between visits. */

/** Reads what `remember` stored on an earlier visit. Empty if there is nothing, or the browser denies storage. */
export function recall(name: string): string {
  try {
    return localStorage.getItem(`peer-stream.${name}`) ?? "";
  } catch {
    return "";
  }
}

/** Stores `value` for later visits, unless the browser denies storage. */
export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`peer-stream.${name}`, value);
  } catch {
    // The user chooses it again next time.
  }
}
