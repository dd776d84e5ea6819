/** Each limit of the language, at n and at n + 1: the one passes, the other is refused by its field's name. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../src/protocol.ts";
import { openRawSocket, type RawSocket } from "../support/raw-socket.ts";
import { connectPeer, startServer } from "../support/server.ts";

/** `size` is the limit, or one more. */
type Make = (size: number, roomId: string) => object;

const x = (count: number) => "x".repeat(count);
const smiles = (count: number) => "\u{1f600}".repeat(count);

const bounds: [what: string, path: string, field: string, limit: number, make: Make][] = [
  ["interests", "join", "interests", limits.interestsMax, (n) => ({ interests: words(n) })],
  [
    "characters of an interest",
    "join",
    "interests.0",
    limits.interestCharsMax,
    (n) => ({ interests: [smiles(n)] }),
  ],
  ["languages", "join", "languages", limits.languagesMax, (n) => ({ languages: tags(n) })],
  ["characters of a mutation id", "join", "id", limits.mutationIdCharsMax, (n) => ({ id: x(n) })],
  ["bytes of an offer", "offer", "sdp", limits.sdpBytesMax, (n, roomId) => ({ roomId, sdp: x(n) })],
  [
    "bytes of an offer in two-byte characters",
    "answer",
    "sdp",
    limits.sdpBytesMax,
    (n, roomId) => ({ roomId, sdp: "é".repeat(Math.floor(n / 2)) + x(n % 2) }),
  ],
  [
    "bytes of a candidate",
    "addIceCandidate",
    "candidate.candidate",
    limits.candidateBytesMax,
    candidate("candidate", x),
  ],
  ["characters of an sdpMid", "addIceCandidate", "candidate.sdpMid", 64, candidate("sdpMid", x)],
  [
    "an sdpMLineIndex",
    "addIceCandidate",
    "candidate.sdpMLineIndex",
    0xffff,
    candidate("sdpMLineIndex", (n) => n),
  ],
  [
    "characters of a username fragment",
    "addIceCandidate",
    "candidate.usernameFragment",
    256,
    candidate("usernameFragment", x),
  ],
  [
    "bytes of a standing offer's description",
    "standby",
    "offer.sdp",
    limits.sdpBytesMax,
    (n) => ({ offer: { sdp: x(n), candidates: [] } }),
  ],
  [
    "candidates of a standing offer",
    "standby",
    "offer.candidates",
    limits.standingCandidatesMax,
    (n) => ({ offer: { sdp: "v=0", candidates: Array(n).fill({ candidate: "" }) } }),
  ],
  ["characters of a room's id", "skip", "roomId", 64, (n) => ({ roomId: x(n) })],
];

function candidate(field: string, value: (n: number) => unknown): Make {
  return (n, roomId) => ({ roomId, candidate: { candidate: "", [field]: value(n) } });
}

const words = (count: number) => Array.from({ length: count }, (_, n) => `word ${n}`);
const tags = (count: number) => Array.from({ length: count }, () => "en");

/** A socket with a session that is in a room. */
async function pairedSocket(stack: AsyncDisposableStack) {
  const server = stack.use(startServer());
  const partner = stack.use(await connectPeer(server));
  await partner.client.join.mutate();
  const socket = stack.use(await openRawSocket(`${server.ws}/trpc`));
  await socket.ask(call("events", "subscription", "events", {}), "events");
  await socket.ask(call("join", "mutation", "join", {}), "join");
  const { roomId } = await partner.next("wait-for-offer");
  return { server, socket, partner, roomId };
}

function call(id: string | number, method: string, path: string, input: unknown): string {
  return JSON.stringify({ id, method, params: { path, input } });
}

describe("at n and at n + 1", () => {
  for (const [what, path, field, limit, make] of bounds)
    test(`${limit}: ${what}`, async () => {
      await using stack = new AsyncDisposableStack();
      const { socket, roomId } = await pairedSocket(stack);
      const ask = async (size: number) =>
        socket.ask(call(size, "mutation", path, make(size, roomId)), size);
      expect((await ask(limit)).error).toBeUndefined();
      const { error } = await ask(limit + 1);
      expect(error?.data).toMatchObject({ code: "BAD_REQUEST", reason: "bad-input", field });
    });

  test("128: characters of a lastEventId", async () => {
    await using stack = new AsyncDisposableStack();
    const { socket } = await pairedSocket(stack);
    const subscribe = (size: number) =>
      socket.ask(call(size, "subscription", "events", { lastEventId: x(size) }), size);
    expect((await subscribe(128)).result).toEqual({ type: "started" });
    expect((await subscribe(129)).error?.data).toMatchObject({ field: "lastEventId" });
  });

  test(`${limits.batchCallsMax}: calls of a batch`, async () => {
    await using stack = new AsyncDisposableStack();
    const { socket } = await pairedSocket(stack);
    const batch = (count: number) =>
      `[${Array.from({ length: count }, (_, n) => call(`${count} ${n}`, "query", "stats", undefined)).join()}]`;
    expect(await answersOf(socket, batch(limits.batchCallsMax), limits.batchCallsMax)).toEqual({
      answered: limits.batchCallsMax,
    });
    const over = limits.batchCallsMax + 1;
    expect(await answersOf(socket, batch(over), over)).toEqual({ "bad-input": over });
  });

  test(`${limits.frameBytesMax}: bytes of a frame`, async () => {
    await using stack = new AsyncDisposableStack();
    const { socket } = await pairedSocket(stack);
    // Filled up with a key of the envelope that nobody reads.
    const frame = (bytes: number) => {
      const [start] = call(bytes, "query", "stats", undefined).split(/\}$/);
      const padding = bytes - `${start},"padding":""}`.length;
      return `${start},"padding":"${x(padding)}"}`;
    };
    expect(frame(limits.frameBytesMax)).toHaveLength(limits.frameBytesMax);
    const { error } = await socket.ask(frame(limits.frameBytesMax), limits.frameBytesMax);
    expect(error).toBeUndefined();
    const over = limits.frameBytesMax + 1;
    expect((await socket.ask(frame(over), over)).error?.data.reason).toBe("bad-input");
  });
});

/** How often each outcome came before `count` calls were answered. */
function answersOf(socket: RawSocket, frame: string, count: number) {
  return new Promise<Record<string, number>>((resolve) => {
    const outcomes: Record<string, number> = {};
    let left = count;
    socket.onAnswer(({ error }) => {
      const outcome = error?.data.reason ?? "answered";
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (--left === 0) resolve(outcomes);
    });
    socket.send(frame);
  });
}
