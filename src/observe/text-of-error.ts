/** What was thrown, as a text: also what has none, such as `Object.create(null)`. */
export function textOfError(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "it has thrown what has no text";
  }
}

/** What kind of error was thrown, and where; without its message, which may quote what peers said. */
export function placeOfError(error: unknown): string {
  if (!(error instanceof Error)) return `it has thrown no error but ${typeof error}`;
  const at = error.stack?.split("\n").find((line) => /^\s+at .*:\d+/.test(line));
  return `${error.name}${at === undefined ? "" : ` ${at.trim()}`}`;
}
