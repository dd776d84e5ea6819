const INTERESTS_MAX = 10;
const CHARS_MAX = 32;

/** Reads a line separated by commas or semicolons of any script: trimmed, without blanks and repeats, within the server's limits. */
export function parseInterests(line: string): string[] {
  const wished = line
    .split(/[,;\n\uff0c\u3001\u060c\u061b\uff1b]/)
    .map((part) => [...part.trim().replace(/\s+/g, " ")].slice(0, CHARS_MAX).join("").trim())
    .filter((part) => part !== "");
  const known = new Set<string>();
  const interests = wished.filter((interest) => {
    const key = interest.toLowerCase();
    return known.has(key) ? false : known.add(key);
  });
  return interests.slice(0, INTERESTS_MAX);
}
