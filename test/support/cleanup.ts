/**
 * Preloaded before all test files (bunfig.toml): ends after each test what it has begun, and fails the run if it leaves a
 * process behind.
 *
 * A hook that an imported module registers holds only for the first test file of a run that imports it, because the module
 * is evaluated once. Hooks of a preloaded file hold for all.
 */
import { afterAll, afterEach } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { ends } from "./ends.ts";
import { until } from "./until.ts";

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(async () => {
  const noneLeft = () => {
    const left = children();
    if (left.length > 0) throw new Error(left.join("; "));
    return true;
  };
  // Within the 5 s that a hook may take.
  await until("the processes that tests have started end", noneLeft, 4000);
});

/** The command lines of the processes that this one has started. Empty where there is no `/proc`. */
function children(): string[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => childOfThis(pid) ?? []);
  } catch {
    return [];
  }
}

function childOfThis(pid: string): string | undefined {
  try {
    // The name, in parentheses, may contain spaces (proc(5)).
    const [state, parent] =
      readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    if (Number(parent) !== process.pid || state === "Z") return undefined;
    return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()}`;
  } catch {
    return undefined; // It has ended meanwhile.
  }
}
