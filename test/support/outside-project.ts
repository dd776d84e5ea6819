/** A project of somebody else: in a folder outside this one, with the packages as they are published. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./root.ts";

/** The tarballs of the two packages, which `npm publish` would upload, by name. */
export type Tarballs = Readonly<Record<"peer-stream" | "peer-stream-client", string>>;

export const packageFolders: Tarballs = {
  "peer-stream": root,
  "peer-stream-client": join(root, "dist/peer-stream-client"),
};

/** Builds and packs both packages into `folder`. */
export async function packPackages(folder: string): Promise<Tarballs> {
  await run(root, ["bun", "run", "build"]);
  const pack = async (cwd: string) => {
    const printed = await run(cwd, [
      "npm",
      "pack",
      "--ignore-scripts",
      "--pack-destination",
      folder,
    ]);
    return join(folder, printed.trim().split("\n").at(-1) ?? "");
  };
  return {
    "peer-stream": await pack(packageFolders["peer-stream"]),
    "peer-stream-client": await pack(packageFolders["peer-stream-client"]),
  };
}

export interface OutsideProject extends AsyncDisposable {
  readonly folder: string;
  write(files: Record<string, string>): Promise<void>;
  run(command: string[], env?: Record<string, string>): Promise<string>;
}

/** An empty project. */
export async function createOutsideProject(
  dependencies: Record<string, string> = {},
): Promise<OutsideProject> {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-outside-"));
  const write = async (files: Record<string, string>) => {
    for (const [name, text] of Object.entries(files)) await Bun.write(join(folder, name), text);
  };
  const manifest = { name: "outside", private: true, type: "module", dependencies };
  await write({ "package.json": JSON.stringify(manifest) });
  return {
    folder,
    write,
    run: (command, env) => run(folder, command, env),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Runs a command to its end, and returns what it printed. @throws with all of it, if the command fails. */
export async function run(
  cwd: string,
  [program = "", ...args]: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const command = [program === "bun" ? process.execPath : program, ...args];
  const child = Bun.spawn(command, {
    cwd,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [printed, complaints] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0)
    throw new Error(`${command.join(" ")}:\n${printed}\n${complaints}`);
  return printed;
}
