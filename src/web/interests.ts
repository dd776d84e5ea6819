/** Reads the interests that a user has typed into one line. */

const INTERESTS_MAX = 10;
const CHARS_MAX = 32;

/** Splits a line at the commas and semicolons of several scripts. Trims, removes empty and repeated interests, and keeps to the limits of the server. */
export function parseInterests(line: string): string[] {
  const parts = line
    .split(/[,;\n\uff0c\u3001\u060c\u061b\uff1b]/)
    .map((part) => [...part.trim().replace(/\s+/g, " ")].slice(0, CHARS_MAX).join("").trim())
    .filter((part) => part !== "");
  const known = new Set<string>();
  const interests = parts.filter((interest) => {
    const key = interest.toLowerCase();
    return known.has(key) ? false : known.add(key);
  });
  return interests.slice(0, INTERESTS_MAX);
}
