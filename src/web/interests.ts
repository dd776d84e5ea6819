const INTERESTS_MAX = 10;
const CHARS_MAX = 32;

/** Reads a comma-separated line: trimmed, without blanks and repeats, within the server's limits. */
export function parseInterests(line: string): string[] {
  const wished = line
    .split(/[,;\n]/)
    .map((part) => [...part.trim().replace(/\s+/g, " ")].slice(0, CHARS_MAX).join("").trim())
    .filter((part) => part !== "");
  const known = new Set<string>();
  const interests = wished.filter((interest) => {
    const key = interest.toLowerCase();
    return known.has(key) ? false : known.add(key);
  });
  return interests.slice(0, INTERESTS_MAX);
}

/** The browser's languages, as far as the server's language can name them. */
export function spokenLanguages(languages: readonly string[]): string[] {
  return languages
    .filter((language) => /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$/.test(language))
    .slice(0, 5);
}
