/** Reads the interests that a user has typed into one line. */

const INTERESTS_MAX = 10;
const CHARS_MAX = 32;

/**
 * Commas, semicolons and line breaks of the world's scripts, and full stops of those scripts that have none inside a word. '.', '·', '/', '&' and '-'
 * part nothing: they are in 'node.js', 'col·lecció', 哈利·波特, 'AC/DC', 'R&B', 'sci-fi'.
 */
const separators = new RegExp(
  `[${[
    // Latin, with the Greek question mark, which is a semicolon for Unicode; small, full-width and vertical forms
    ",;\u037e\u2e41\u204f\ufe50\ufe54\uff0c\uff1b\ufe10\ufe14",
    // Chinese, Japanese
    "\u3001\u3002\uff61\uff64\ufe11\ufe12\ufe51",
    // Arabic, Persian, Urdu; N'Ko
    "\u060c\u061b\u06d4\u07f8",
    // Danda and double danda of the scripts of India; Burmese
    "\u0964\u0965\u104a\u104b",
    // Ethiopic; Armenian; Mongolian
    "\u1362-\u1364\u055d\u1802\u1808",
    "\n\r\v\f\u0085\u2028\u2029",
  ].join("")}]`,
);

/** A hashtag after a blank begins an interest of its own. */
const beforeHashtag = /\s+(?=[#\uff03]\S)/;

/** Splits a line at separators and before hashtags. Trims, removes empty and repeated interests, and keeps to the limits of the server. */
export function parseInterests(line: string): string[] {
  const parts = line
    .split(separators)
    .flatMap((part) => part.split(beforeHashtag))
    .map((part) => [...part.trim().replace(/\s+/g, " ")].slice(0, CHARS_MAX).join("").trim())
    .filter((part) => part !== "");
  const known = new Set<string>();
  const interests = parts.filter((interest) => {
    const key = interest.toLowerCase();
    return known.has(key) ? false : known.add(key);
  });
  return interests.slice(0, INTERESTS_MAX);
}
