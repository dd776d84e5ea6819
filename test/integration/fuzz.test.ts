/**
 * A hundred thousand inputs that no honest client would send, to a real server over real sockets: each call is
 * answered once, by a result or a named refusal; nothing else happens to anybody, nor to the memory.
 */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import fc, { type Arbitrary } from "fast-check";
import { rejectionReasons } from "../../src/protocol.ts";
import {
  fuzzedCalls,
  fuzzedFacts,
  fuzzedFrames,
  fuzzedIds,
  type FuzzedCall,
} from "../support/fuzz.ts";
import { openRawSocket, type Answer, type RawSocket } from "../support/raw-socket.ts";
import { createWireSchema } from "../support/wire-schema.ts";
import { connectPeer, startServer, type TestPeer, type TestServer } from "../support/server.ts";

const seed = Number(process.env["FUZZ_SEED"] ?? 5);
const inputsInAll = Number(process.env["FUZZ_INPUTS"] ?? 100_000);
const tenths = 10;
const inputsPerTenth = inputsInAll / tenths;
/** What part of them goes over HTTP. */
const httpShare = 0.05;
const sockets = 4;
/** What is sent before its answers are waited for. */
const burst = 64;

const reasons = new Set<string>(rejectionReasons);
const schema = createWireSchema(fuzzedFacts);
/** Stands for the room its sender is in, or was last. */
const ownRoom = "OWN-ROOM";

test(`${inputsInAll} fuzzed inputs: each call answered once and by name, an honest pair unharmed, memory flat`, async () => {
  await using server = startServer({
    safety: { takesHints: true },
    facts: fuzzedFacts,
  });
  await using honest = await honestPair(server);
  await using stack = new AsyncDisposableStack();
  const outcomes = new Map<string, number>();
  const lanes = await Promise.all(
    Array.from({ length: sockets }, async () =>
      createLane(stack.use(await openRawSocket(`${server.ws}/trpc`)), outcomes),
    ),
  );
  const roomIds = [ownRoom, ownRoom, honest.roomId, "AAAAAAAAAAAAAAAAAAAAAA"];
  const heapBytes: number[] = [];
  let inputs = 0;
  const started = performance.now();

  for (let tenth = 0; tenth < tenths; tenth++) {
    const perLane = Math.floor((inputsPerTenth * (1 - httpShare)) / sockets);
    const overHttp = inputsPerTenth - perLane * sockets;
    await Promise.all([
      ...lanes.map((lane, index) => lane.run(perLane, roomIds, seed + tenth * 100 + index)),
      fuzzHttp(server, overHttp, roomIds, seed + tenth * 100 + 99),
    ]);
    inputs += overHttp + perLane * sockets;
    await honest.check();
    // Emptied, so that what the test keeps does not count as the server's.
    const bugs = server.lines.splice(0).filter((line) => /"level":[56]0/.test(line));
    expect(bugs).toEqual([]);
    Bun.gc(true);
    heapBytes.push(heapStats().heapSize);
  }

  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const mib = heapBytes.map((bytes) => (bytes / 2 ** 20).toFixed(1));
  console.log(
    `  ${inputs} inputs in ${seconds} s, seed ${seed}; heap after each tenth: ${mib} MiB`,
  );
  console.log(
    `  over sockets: ${[...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", ")}`,
  );
  // It reached what lies behind the first check.
  for (const outcome of ["answered", "bad-input", "not-in-room", "taken-over"])
    expect([outcome, (outcomes.get(outcome) ?? 0) > inputsInAll / 1000]).toEqual([outcome, true]);
  expect(inputs).toBe(inputsInAll);
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect("polluted" in {}).toBe(false);
  expect((heapBytes.at(-1) ?? 0) / (heapBytes[0] ?? 1)).toBeLessThan(1.05);
}, 300_000);

/** Sends fuzz down one socket and keeps account of what must be answered. */
function createLane(socket: RawSocket, outcomes: Map<string, number>) {
  /** Calls that wait for their answer, by id, as JSON says it: how many, and the frame. */
  const owed = new Map<string, { count: number; frame: string }>();
  /** Subscriptions that have been answered with `started`, and may still speak. */
  const open = new Set<string>();
  const wrong: unknown[] = [];
  let roomId = ownRoom;
  let settled = () => {};
  let calls = 0;

  socket.onAnswer((answer) => {
    const id = JSON.stringify(answer.id);
    if (!wellFormed(answer)) wrong.push(answer);
    wrong.push(...schema.faults("ServerFrame", answer));
    const outcome = answer.error?.data.reason ?? "answered";
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const { type, id: eventId } = answer.result ?? {};
    // What a running subscription tells is no answer, nor is its end.
    if (type === "data" && eventId !== undefined) {
      if (!open.has(id)) wrong.push(answer);
      roomId = /"roomId":"([\w-]{22})"/.exec(JSON.stringify(answer.result))?.[1] ?? roomId;
      return;
    }
    if (open.has(id) && answer.error) return;
    if (open.has(id) && type === "stopped") return void open.delete(id);
    if (type === "started") open.add(id);
    if (answer.id === null) return;
    const debt = owed.get(id);
    if (!debt) wrong.push(answer);
    else if (debt.count > 1) debt.count -= 1;
    else owed.delete(id);
    if (owed.size === 0) settled();
  });

  function owe(frame: string) {
    for (const id of callIdsIn(frame)) {
      const debt = owed.get(id);
      if (debt) debt.count += 1;
      else owed.set(id, { count: 1, frame: frame.slice(0, 500) });
    }
  }

  /** Makes the id one of its own, so that its answer can be told from all others. */
  function unique(id: unknown): unknown {
    calls += 1;
    if (typeof id === "string") return `${id.slice(0, 40)}#${calls}`;
    return typeof id === "number" ? calls + (id < 0 ? 0.5 : 0) : id;
  }

  return {
    async run(count: number, roomIds: readonly string[], laneSeed: number) {
      const frames = sample(laneFrames(roomIds), count, laneSeed);
      for (let at = 0; at < frames.length; at += burst) {
        for (const made of frames.slice(at, at + burst)) {
          const frame =
            typeof made === "function" ? made(unique).replaceAll(ownRoom, roomId) : made;
          if (typeof frame === "string") owe(frame);
          socket.send(frame);
        }
        // The end of the burst: a call that must be answered after all that was refused at once.
        const probe = { id: `probe ${laneSeed} ${at}`, method: "query", params: { path: "stats" } };
        owe(JSON.stringify(probe));
        const answered = new Promise<void>((resolve) => (settled = resolve));
        socket.send(JSON.stringify(probe));
        const late = setTimeout(() => settled(), 10_000);
        await answered;
        clearTimeout(late);
        // The newest stays, so that this peer is present.
        for (const id of [...open].slice(0, -1))
          socket.send(`{"id":${id},"method":"subscription.stop"}`);
        const unanswered = [...owed.values()].map(({ frame }) => frame);
        expect({ unanswered, wrong, closedWith: socket.closedWith }).toEqual({
          unanswered: [],
          wrong: [],
          closedWith: undefined,
        });
      }
    },
  };
}

type Made = string | Uint8Array<ArrayBuffer> | ((unique: (id: unknown) => unknown) => string);

/** One socket's fuzz: hardly a call, one call, a call that ends a subscription, or a batch. */
function laneFrames(roomIds: readonly string[]): Arbitrary<Made> {
  const call = fc.tuple(fuzzedIds, fuzzedCalls(roomIds));
  const worded = ([id, fuzzed]: [unknown, FuzzedCall], unique: (id: unknown) => unknown) => {
    const { method, path, input, lastEventId, more } = fuzzed;
    return { ...more, id: unique(id), method, params: { path, input, lastEventId } };
  };
  return fc.oneof(
    { arbitrary: fuzzedFrames as Arbitrary<Made>, weight: 20 },
    {
      arbitrary: call.map(
        (one): Made =>
          (unique) =>
            JSON.stringify(worded(one, unique)),
      ),
      weight: 74,
    },
    {
      arbitrary: fuzzedIds.map((id): Made =>
        JSON.stringify({ id: id ?? 1, method: "subscription.stop" }),
      ),
      weight: 3,
    },
    {
      arbitrary: fc.array(call, { maxLength: 12 }).map(
        (batch): Made =>
          (unique) =>
            JSON.stringify(batch.map((one) => worded(one, unique))),
      ),
      weight: 3,
    },
  );
}

/** The ids that a frame's sender waits for: of every call in it that has one, as JSON says it. */
function callIdsIn(frame: string): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(frame);
  } catch {
    return [];
  }
  return (Array.isArray(parsed) ? parsed : [parsed]).flatMap((call: unknown) => {
    if (typeof call !== "object" || call === null || Array.isArray(call)) return [];
    const { id, method } = call as { id?: unknown; method?: unknown };
    const named = typeof id === "string" || (typeof id === "number" && Number.isFinite(id));
    return named && method !== "subscription.stop" ? [JSON.stringify(id)] : [];
  });
}

/** A result, or an error whose reason stands in the protocol. */
function wellFormed({ result, error }: Answer): boolean {
  if (!error) return result !== undefined;
  const { data, message } = error;
  return (
    result === undefined &&
    reasons.has(data.reason ?? "") &&
    data.code !== "INTERNAL_SERVER_ERROR" &&
    !("stack" in data) &&
    message.length < 500
  );
}

function sample<T>(arbitrary: Arbitrary<T>, numRuns: number, sampleSeed: number): T[] {
  return fc.sample(arbitrary, { numRuns, seed: sampleSeed });
}

/** Two peers who mind their own business. */
async function honestPair(server: TestServer) {
  const stack = new AsyncDisposableStack();
  const alice = stack.use(await connectPeer(server));
  const bob = stack.use(await connectPeer(server));
  await alice.client.join.mutate();
  await bob.client.join.mutate();
  const { roomId } = await alice.next("wait-for-offer");
  let sent = 0;
  return {
    roomId,
    /** They still reach each other, and have been told nothing but by each other. */
    async check() {
      sent += 1;
      const sdp = `honest ${sent}`;
      expect(await bob.client.offer.mutate({ roomId, sdp })).toEqual({ delivered: true });
      expect(await alice.next("offer")).toEqual({ type: "offer", roomId, sdp });
      const beginning = (peer: TestPeer) => peer.types.filter((type) => type !== "offer");
      expect(beginning(alice)).toEqual(["session", "lobby", "wait-for-offer"]);
      expect(beginning(bob)).toEqual(["session", "lobby", "create-offer"]);
      expect(alice.types.filter((type) => type === "offer")).toHaveLength(sent);
      expect([...alice.errors, ...bob.errors]).toEqual([]);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Fuzzed requests: every answer is an expected one, and calls are refused by name. */
async function fuzzHttp(
  server: TestServer,
  count: number,
  roomIds: readonly string[],
  httpSeed: number,
) {
  const requests = fc.record({
    calls: fc.array(fuzzedCalls(roomIds), { minLength: 1, maxLength: 11 }),
    batch: fc.boolean(),
    post: fc.boolean(),
    body: fc.oneof({ arbitrary: fc.constant(undefined), weight: 3 }, fuzzedFrames),
    type: fc.constantFrom("application/json", "text/plain", "multipart/form-data", 'a/b;c="', ""),
    authorization: fc.constantFrom(
      "",
      "Bearer",
      "Bearer x",
      `Bearer ${"a.b.c.d".repeat(99)}`,
      "Basic eA==",
    ),
  });
  for (const { calls, batch, post, body, type, authorization } of sample(
    requests,
    count,
    httpSeed,
  )) {
    const asked = batch ? calls : calls.slice(0, 1);
    const names = asked.map(({ path }) => encodeURIComponent(safe(path))).join(",");
    const one = batch ? { ...asked.map(({ input }) => input) } : asked[0]?.input;
    const input = safe(JSON.stringify(one) ?? "").slice(0, 4000);
    const query = new URLSearchParams({
      ...(batch ? { batch: "1" } : {}),
      ...(post ? {} : { input }),
    });
    const response = await fetch(`${server.http}/trpc/${names}?${query}`, {
      method: post ? "POST" : "GET",
      headers: { ...(authorization && { authorization }), ...(type && { "content-type": type }) },
      ...(post ? { body: body ?? input } : {}),
    });
    // A stream of events that has begun does not end by itself.
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
    const text = isStream ? "" : await response.text();
    if (isStream) await response.body?.cancel();
    const said = `${response.status} ${response.url}: ${text.slice(0, 300)}`;
    expect(said).toMatch(/^(200|207|400|401|403|404|405|409|412|413|414|415|426|429|431) /);
    if (!response.headers.get("content-type")?.startsWith("application/json")) continue;
    const answers = [JSON.parse(text)].flat() as Answer[];
    if (!answers.every(wellFormed)) throw new Error(`not an answer by name: ${said}`);
  }
}

/** Half of a surrogate pair can't be in a URL. */
const safe = (text: unknown) =>
  (typeof text === "string" ? text : (JSON.stringify(text) ?? "")).toWellFormed();
