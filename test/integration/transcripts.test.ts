/** The transcripts, played against a real server, which still sends what they say; and the server that plays them to clients. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import { rejectionReasons } from "../../src/protocol.ts";
import { documents } from "../support/documents.ts";
import { startRedis } from "../support/redis.ts";
import { root } from "../support/root.ts";
import { readTranscript } from "../support/transcript.ts";
import { checkTranscript } from "../support/transcript-player.ts";
import { startTranscriptServer } from "../support/transcript-server.ts";
import { until } from "../support/until.ts";

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

test("there is a transcript for each refusal, each event, and each procedure", () => {
  const text = transcripts.map((transcript) => transcript.text).join("\n");
  const { wireProtocol } = documents;
  const events = namesIn(wireProtocol, "Events");
  const procedures = namesIn(wireProtocol, "Procedures");
  expect([events.length, procedures.length]).toEqual([15, 20]);
  const missing = [
    ...rejectionReasons.filter((reason) => !text.includes(`"reason":"${reason}"`)),
    ...events.filter((type) => !text.includes(`{"type":"${type}"`)),
    ...procedures.filter((path) => !text.includes(`"params":{"path":"${path}"`)),
  ];
  expect(missing).toEqual([]);
});

/** The first cells of the table under a heading. */
function namesIn(document: string, heading: string): string[] {
  const section = document.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([\w-]+)`/gm)].map(([, name = ""]) => name);
}

describe("a client that deviates is told where", () => {
  const file = transcripts.find((transcript) => transcript.file === "leave.txt");
  const lines = file?.lines ?? [];
  const params = { method: "connectionParams", data: {} };
  const events = { id: 7, method: "subscription", params: { path: "events", input: {} } };
  const join = { id: 8, method: "mutation", params: { path: "join", input: { id: "one" } } };

  /** What becomes of a client that sends these frames, each once the one before is answered. */
  async function deviationOf(frames: unknown[], timeoutMs = 5000, answersPings = true) {
    await using server = startTranscriptServer({ lines, peers: ["alice"], timeoutMs });
    const socket = new WebSocket(`${server.url}?connectionParams=1`);
    const received: string[] = [];
    socket.onmessage = ({ data }) => {
      if (data !== "PING") received.push(String(data));
      else if (answersPings) socket.send("PONG");
    };
    await until("the socket is open", () => socket.readyState === WebSocket.OPEN);
    for (const frame of frames) socket.send(JSON.stringify(frame));
    const played = await server.played;
    socket.close();
    return { played, received };
  }

  test("and one that does not is played to the end, under its own ids", async () => {
    const { played, received } = await deviationOf([params, [events, join]]);
    expect(played).toBeUndefined();
    const ids = received.map((frame) => (JSON.parse(frame) as { id: number }).id);
    expect(ids).toEqual([7, 7, 7, 8, 7, 7, 7, 7]);
  });

  const cases: Record<string, [frames: unknown[], told: RegExp, answersPings?: boolean]> = {
    "a token that it can't have": [
      [{ ...params, data: { token: "x" } }],
      /^line 5: .*a new socket has sent .*"x".*; its data.token is too much$/,
    ],
    "another call": [
      [params, events, { ...join, params: { path: "leave" } }],
      /line 10: path is "leave" instead of "join"/,
    ],
    "a mutation without an id": [
      [params, events, { ...join, params: { path: "join", input: {} } }],
      /line 10: input.id is missing/,
    ],
    "a field too much": [
      [params, events, { ...join, params: { path: "join", input: { id: "one", mood: "good" } } }],
      /line 10: input.mood is too much/,
    ],
    "nothing more": [[params, events], /^line 10: waited for alice to send .*"join"/],
    "no PONG": [[params, events, join], /^waited for PONG/, false],
  };
  test("a peer that is not in the transcript is refused, as nothing would be played", () => {
    expect(() => startTranscriptServer({ lines, peers: ["alcie"], timeoutMs: 5000 })).toThrow(
      "alcie opens no socket in this transcript; alice, bob may",
    );
  });

  for (const [what, [frames, told, answersPings]] of Object.entries(cases))
    test(`it sends ${what}`, async () => {
      expect((await deviationOf(frames, 500, answersPings)).played).toMatch(told);
    });
});
