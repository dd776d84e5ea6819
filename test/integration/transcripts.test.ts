/** The transcripts, played against a real server: it still sends what they say. */
import { afterAll, describe, setDefaultTimeout, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { startRedis } from "../support/redis.ts";
import { root } from "../support/root.ts";
import { readTranscript } from "../support/transcript.ts";
import { checkTranscript } from "../support/transcript-player.ts";

setDefaultTimeout(30_000);

const folder = join(root, "test/transcripts");
const files = [...new Glob("*.txt").scanSync(folder)].sort();
const transcripts = await Promise.all(
  files.map(async (file) => {
    const text = await Bun.file(join(folder, file)).text();
    return { file, text, lines: readTranscript(text), needsRedis: /^- Redis /m.test(text) };
  }),
);
const redis = await startRedis(["--appendonly", "no"]);
afterAll(() => redis[Symbol.asyncDispose]());

describe("in memory", () => {
  for (const { file, lines, needsRedis } of transcripts)
    if (!needsRedis) test(file, () => checkTranscript(lines));
});

describe("in Redis", () => {
  for (const { file, lines, needsRedis } of transcripts)
    test(file, async () => {
      // One that takes Redis away has its own.
      await using own = needsRedis ? await startRedis() : undefined;
      await checkTranscript(lines, own ?? redis);
    });
});
