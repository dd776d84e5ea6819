/** A project of somebody else: in a folder outside this one, with the packages as they are published. */
import { cp, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./root.ts";

/** The tarballs of the two packages, which `npm publish` would upload, by name. */
export type Tarballs = Readonly<Record<"peer-stream" | "peer-stream-client", string>>;

/**
 * Copies what the build reads to `folder`, so that what one test file builds there is not replaced by another that runs at the same
 * time.
 */
export async function copySources(folder: string): Promise<void> {
  for (const path of ["src", "test/support", "test/transcripts"])
    await cp(join(root, path), join(folder, path), { recursive: true });
  for (const entry of await readdir(root, { withFileTypes: true }))
    if (entry.isFile()) await cp(join(root, entry.name), join(folder, entry.name));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
}

/** Where the packages that are built in a copy of the sources are, by name. */
export const packageFolders = (copy: string): Tarballs => ({
  "peer-stream": copy,
  "peer-stream-client": join(copy, "dist/peer-stream-client"),
});

/** Builds both packages in `folder/sources`, and packs them into `folder`. */
export async function packPackages(folder: string): Promise<Tarballs> {
  const copy = join(folder, "sources");
  await copySources(copy);
  await run(copy, ["bun", "run", "build"]);
  const pack = async (cwd: string) => {
    const command = ["npm", "pack", "--ignore-scripts", "--pack-destination", folder];
    const printed = await run(cwd, command);
    return join(folder, printed.trim().split("\n").at(-1) ?? "");
  };
  const folders = packageFolders(copy);
  return {
    "peer-stream": await pack(folders["peer-stream"]),
    "peer-stream-client": await pack(folders["peer-stream-client"]),
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
