/** What was thrown, as a text: also what has none, such as `Object.create(null)`. */
export function textOfError(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "it has thrown what has no text";
  }
}

/** What kind of error was thrown, and where; without its message, which may quote what peers said. Never throws. */
export function placeOfError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `it has thrown no error but ${typeof error}`;
    const { name, message, stack = "" } = error;
    // The stack begins with the message, of which a line may look like a place.
    const said = new Set(message.split("\n"));
    const at = stack.split("\n").find((line) => /^\s+at .*:\d+/.test(line) && !said.has(line));
    return `${/^\w+$/.test(name) ? name : "an error"}${at === undefined ? "" : ` ${at.trim()}`}`;
  } catch {
    return "it has thrown an error that can't be read";
  }
}
