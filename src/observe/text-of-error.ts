/** What was thrown, as a text: also what has none, such as `Object.create(null)`. */
export function textOfError(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "it has thrown what has no text";
  }
}
