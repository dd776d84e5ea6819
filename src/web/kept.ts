/** What the page remembers from visit to visit; nothing where the browser keeps nothing. */
export function recall(name: string): string {
  try {
    return localStorage.getItem(`peer-stream.${name}`) ?? "";
  } catch {
    return "";
  }
}

/** Remembers `value` under `name`, if it can. */
export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`peer-stream.${name}`, value);
  } catch {
    // Then it is chosen again next time.
  }
}
