/** What the image runs, without Docker: built by the command of the Dockerfile. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./root.ts";

/** @returns the folder with `main.js`. */
export async function buildImage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "peer-stream-image-"));
  const dockerfile = await Bun.file(join(root, "Dockerfile")).text();
  const build = /^RUN bun (build .*)--outdir=\S+$/m.exec(dockerfile)?.[1]?.trim().split(" ");
  if (!build) throw new Error("the Dockerfile builds nothing");
  await Bun.$`${process.execPath} ${build} --outdir=${folder}`.cwd(root).quiet();
  return folder;
}
