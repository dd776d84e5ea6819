/** The benchmark sends what the client sends: every frame of a call in Chromium is compared with that of `test/bench/frames.ts`. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Candidate } from "../../src/protocol.ts";
import * as frames from "../bench/frames.ts";
import { until } from "../support/until.ts";
import { setStage, type Guest } from "./stage.ts";

setDefaultTimeout(60_000);

interface Call {
  id: number;
  method: string;
  params: {
    path: string;
    input: frames.JoinFields & {
      id: string;
      roomId: string;
      sdp: string;
      candidate: Candidate;
      text: string;
    };
  };
}

/** The same call as the benchmark would send it; `undefined` for one that it does not send. */
function benchmarkCall({ id, params: { path, input } }: Call): string | undefined {
  switch (path) {
    case "events":
      return frames.events(id);
    case "join":
      return frames.join(id, input, input.id);
    case "leave":
      return frames.leave(id, input.id);
    case "skip":
      return frames.skip(id, input.roomId, input.id);
    case "connected":
      return frames.connected(id, input.roomId, input.id);
    case "offer":
    case "answer":
      return frames.description(id, path, input.roomId, input.sdp, input.id);
    case "say":
      return frames.say(id, input.roomId, input.text, input.id);
    case "addIceCandidate":
      return frames.candidate(id, input.roomId, input.candidate, input.id);
    default:
      return undefined;
  }
}

async function recordFrames({ page }: Guest): Promise<string[]> {
  const sent: string[] = [];
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.webSocketFrameSent", ({ response }) => sent.push(response.payloadData));
  return sent;
}

test("the frames of the benchmark are those that the client sends in a call", async () => {
  await using stage = await setStage({ CHAT: "server" });
  const [alice, bob] = [await stage.enter(), await stage.enter()];
  const recorded = await Promise.all([alice, bob].map(recordFrames));
  await alice.page.reload();
  await bob.page.reload();
  await alice.start();
  await bob.start();
  await Promise.all([alice.until("connected"), bob.until("connected")]);
  await alice.say("Hello");
  await bob.reads("Hello");
  // Sent after five seconds without any other frame.
  await until("a ping is sent", () => recorded.flat().includes(frames.ping), 20_000);
  await alice.next();
  await alice.stop();
  await until("leave is sent", () => recorded.flat().some((frame) => /"leave"/.test(frame)), 5000);

  const seen = new Set<string>();
  for (const frame of recorded.flat()) {
    if (frame === frames.ping) continue;
    const parsed = JSON.parse(frame) as Call | Call[] | { method: string; data: { token: string } };
    if ("data" in parsed) {
      seen.add("connectionParams");
      expect(frame).toBe(frames.connectionParams(parsed.data.token));
      continue;
    }
    const calls = [parsed].flat();
    if (Array.isArray(parsed)) seen.add("array");
    expect(frame).toBe(frames.frameOf(calls.map((call) => JSON.stringify(call))));
    for (const call of calls) {
      const expected = benchmarkCall(call);
      if (expected === undefined) continue;
      seen.add(call.params.path);
      expect(JSON.stringify(call)).toBe(expected);
      const { id } = call.params.input;
      if (id !== undefined) expect(id.length).toBe(frames.mutationId(0).length);
    }
  }
  const intents = ["join", "connected", "skip", "leave"];
  const signals = ["offer", "answer", "addIceCandidate", "say"];
  for (const what of ["connectionParams", "array", "events", ...intents, ...signals])
    expect([...seen]).toContain(what);
});
