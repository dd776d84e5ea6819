/**
 * The command `peer-stream` of the package: runs the server with Bun, also when Node runs this file. `npx` runs it with Node, which the
 * server does not run on.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { engines } from "../package.json";

const here = fileURLToPath(import.meta.url);
const bun = findBun();
if (bun === undefined) {
  process.stderr
    .write(`Peer Stream runs on Bun ${engines.bun}, which is not installed. One of these helps:

  npm install bun                                 beside this package, then npx peer-stream again
  npx --package=bun --package=peer-stream peer-stream
  https://bun.sh                                  for all programs, then bunx peer-stream
`);
  process.exit(1);
}

const child = spawn(bun, [join(dirname(here), "main.js"), ...process.argv.slice(2)], {
  stdio: "inherit",
  // Bun's allocator returns memory to the system after ten seconds, and not while the next signals need it.
  env: {
    MIMALLOC_PURGE_DELAY: "10000",
    MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "10000",
    ...process.env,
  },
});
// Whoever stops this process means the server, which drains first.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
  process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`Peer Stream can't start ${bun}: ${error.message}\n`);
  process.exit(1);
});
child.on("exit", (code, signal) =>
  process.exit(code ?? 128 + constants.signals[signal ?? "SIGTERM"]),
);

/** This process's own executable if it is Bun, else the package `bun` beside this one, else the first one on PATH. */
function findBun(): string | undefined {
  if (process.versions.bun !== undefined) return process.execPath;
  return bunPackage() ?? onPath();
}

function bunPackage(): string | undefined {
  try {
    const installed = createRequire(here).resolve("bun/package.json");
    // Named so on every system.
    const executable = join(dirname(installed), "bin", "bun.exe");
    return existsSync(executable) ? executable : undefined;
  } catch {
    return undefined;
  }
}

function onPath(): string | undefined {
  const name = process.platform === "win32" ? "bun.exe" : "bun";
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}
