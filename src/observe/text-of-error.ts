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
  // The stack begins with the message, of which a line may look like a place.
  const said = new Set(textOfError(error.message).split("\n"));
  const lines = String(error.stack).split("\n");
  const at = lines.find((line) => /^\s+at .*:\d+/.test(line) && !said.has(line));
  return `${error.name}${at === undefined ? "" : ` ${at.trim()}`}`;
}
