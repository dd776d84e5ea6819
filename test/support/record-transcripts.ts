/**
 * Records the transcripts again: what their peers send and what happens is read from the files, and what a real server sends is written into
 * them. `bun test/support/record-transcripts.ts [file…]`; without files all of them. One that needs Redis gets one.
 */
import { Glob } from "bun";
import { join } from "node:path";
import { startRedis } from "./redis.ts";
import { root } from "./root.ts";
import { readTranscript, writeTranscript } from "./transcript.ts";
import { recordTranscript } from "./transcript-player.ts";

const folder = join(root, "test/transcripts");
const given = process.argv.slice(2);
const files =
  given.length > 0
    ? given
    : [...new Glob("*.txt").scanSync(folder)].sort().map((file) => join(folder, file));

for (const file of files) {
  const lines = readTranscript(await Bun.file(file).text());
  const needsRedis = lines.some(
    ({ line }) => line.kind === "happens" && line.text.startsWith("Redis "),
  );
  const redis = needsRedis ? await startRedis() : undefined;
  await Bun.write(file, writeTranscript(await recordTranscript(lines, redis)));
  await redis?.[Symbol.asyncDispose]();
  console.log(file);
}
process.exit(0);
