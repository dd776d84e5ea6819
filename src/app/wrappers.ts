/**
 * The launchers that have started this process (`npx peer-stream`, `npm start`, `bun run start`) and may
 * die without passing on the signal that ended them. Nobody would stop the server then.
 */
import { readFileSync } from "node:fs";

/** A process as `/proc` shows it. */
export interface ProcessInfo {
  parent: number;
  /** Its arguments, joined by blanks. */
  command: string;
}

/**
 * A package runner, the package's own command (bin.ts), or the shell that a runner starts for a script, such as `start` of package.json. A shell that
 * does more than that (`… &`) may well end before the server is meant to.
 */
const wrapper =
  /^(\S*\/)?(npm|npx|yarn|pnpm|bunx|node (\S*\b(npm|npx|yarn|pnpm)\S*|\S*bin\/peer-stream)|bun\S* (run|x)|(ba|da)?sh -c [^&;|]*\b(run|peer-stream|bun \S*main\.[jt]s)\b)\b[^&;|]*$/;

/**
 * Finds out which wrappers this process runs under, and answers whether all of them are still there.
 * @param pid this process.
 * @param read looks at a process; `undefined` if there is none, or no way to know.
 */
export function watchWrappers(
  pid: number,
  read: (pid: number) => ProcessInfo | undefined = readProcess,
): () => boolean {
  const links: [child: number, parent: number][] = [];
  for (let child = pid; ;) {
    const parent = read(child)?.parent;
    if (parent === undefined || parent <= 1 || !wrapper.test(read(parent)?.command ?? "")) break;
    links.push([child, parent]);
    child = parent;
  }
  // A process whose parent has died gets another one.
  return () => links.every(([child, parent]) => read(child)?.parent === parent);
}

function readProcess(pid: number): ProcessInfo | undefined {
  try {
    // The second field is the program's name in parentheses, which may hold anything (proc(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\)/s, "");
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
    return { parent: Number(stat.trim().split(" ")[1]), command };
  } catch {
    return undefined;
  }
}
