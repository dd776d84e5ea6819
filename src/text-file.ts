/** The text of a file that an operator names, or what is wrong with it. */
import { readFileSync, statSync } from "node:fs";

export const pemBytesMax = 1_048_576;

/** What went wrong, in words. */
const faults: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ELOOP: "it is a link to itself",
  ENAMETOOLONG: "no path is so long",
};

/**
 * Reads a regular file of UTF-8, with or without a byte order mark. A pipe or a device could keep the start waiting for ever.
 * @param bytesMax larger ones are a mistake.
 */
export function readText(path: string, bytesMax: number): { text: string } | { problem: string } {
  let bytes: Buffer;
  try {
    const stats = statSync(path);
    if (stats.isDirectory()) return { problem: "is a directory, not a file" };
    if (!stats.isFile()) return { problem: "is no regular file" };
    if (stats.size > bytesMax)
      return { problem: `has ${stats.size} bytes, more than the ${bytesMax} that it may have` };
    bytes = readFileSync(path);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return { problem: `can't be read: ${code}, ${faults[code] ?? "says the system"}` };
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { problem: "is no text in UTF-8" };
  }
}
