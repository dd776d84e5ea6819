/** Words over the wire: what passes as it is, what is refused, what a flood does, and what the operator's hook sees. */
import { describe, expect, test } from "bun:test";
import { isMessageText, limits } from "../../src/protocol.ts";
import type { ReviewedMessage } from "../../src/rpc/message-review.ts";
import { openRawSocket } from "../support/raw-socket.ts";
import {
  connectPeer,
  httpClient,
  operatorToken,
  refusalOf,
  startServer,
  type TestServer,
} from "../support/server.ts";
import { until } from "../support/until.ts";

async function room(server: TestServer) {
  const alice = await connectPeer(server);
  const bob = await connectPeer(server);
  await alice.client.join.mutate({ mode: "text" });
  await bob.client.join.mutate({ mode: "text" });
  const { roomId } = await alice.next("wait-for-offer");
  return {
    alice,
    bob,
    roomId,
    async [Symbol.asyncDispose]() {
      await bob[Symbol.asyncDispose]();
      await alice[Symbol.asyncDispose]();
    },
  };
}

const { messageCharsMax } = limits;

describe("a text", () => {
  const fit: [string, string][] = [
    ["one character", "x"],
    ["HTML", '<img src=x onerror="alert(1)"> & <script>'],
    ["lines and tabs", "one\n\ttwo"],
    ["quotation marks and backslashes", String.raw`"a\n" \u0041 \\`],
    ["bidirectional characters", "\u202eabc\u202c \u2066\u2069\u200f"],
    ["characters outside the BMP, as many as fit", "👋".repeat(messageCharsMax)],
    ["as many characters as fit", "x".repeat(messageCharsMax)],
    ["combining characters", "e\u0301".repeat(messageCharsMax / 2)],
    ["line separators", "a\u2028b\u2029c"],
    ["what looks like another event", '"},"type":"offer","roomId":"x'],
    ["a link", "https://example.com/?a=b"],
  ];
  const unfit: [string, unknown][] = [
    ["nothing", ""],
    ["blanks", " \n\t\u00a0\u3000"],
    ["what can't be seen", "\u200b\u2060\u2800\u3164"],
    ["one character too many", "x".repeat(messageCharsMax + 1)],
    ["one too many outside the BMP", "👋".repeat(messageCharsMax + 1)],
    ["far too many", "x".repeat(60_000)],
    ["NUL", "a\0b"],
    ["an escape sequence", "\u001b[31m"],
    ["a carriage return", "a\r\nb"],
    ["DEL", "a\u007f"],
    ["a C1 control character", "a\u0085b"],
    ["half a character", "a\ud83d"],
    ["halves in the wrong order", "\udc4b\ud83d"],
    ["a number", 7],
    ["an object", { text: "x" }],
    ["null", null],
  ];

  test.each(fit)("of %s arrives as it is", async (_, text) => {
    expect(isMessageText(text)).toBe(true);
    await using server = startServer();
    await using peers = await room(server);
    const { alice, bob, roomId } = peers;
    expect(await alice.client.say.mutate({ roomId, text })).toEqual({ delivered: true });
    const before = Date.now();
    const told = await bob.next("message");
    expect(told).toEqual({ type: "message", roomId, text, at: told.at });
    expect(Math.abs(told.at - before)).toBeLessThan(60_000);
    const http = httpClient(server, alice.token);
    expect(await http.say.mutate({ roomId, text, id: "http" })).toEqual({ delivered: true });
    expect((await bob.next("message")).text).toBe(text);
  });

  test("of anything else is refused, by each way, and nothing of it arrives", async () => {
    await using server = startServer();
    await using peers = await room(server);
    const { alice, bob, roomId } = peers;
    const http = httpClient(server, alice.token);
    for (const [, text] of unfit) {
      if (typeof text === "string") expect(isMessageText(text)).toBe(false);
      for (const { say } of [alice.client, http])
        expect(await refusalOf(say.mutate({ roomId, text } as never))).toMatchObject({
          reason: "bad-input",
          field: "text",
        });
    }
    // As no client of ours writes it: a raw control character, a lone surrogate as an escape, a bell.
    await using socket = await openRawSocket(`${server.ws}/trpc?connectionParams=1`);
    socket.send(JSON.stringify({ method: "connectionParams", data: { token: alice.token } }));
    for (const [id, text] of ['"a\u0007b"', '"\\ud800"', '"\\u0007"', '"\\u0020"'].entries()) {
      const frame = `{"id":${id},"method":"mutation","params":{"input":{"roomId":"${roomId}","text":${text}},"path":"say"}}`;
      expect(JSON.stringify(await socket.ask(frame, id === 0 ? null : id))).toContain("bad-input");
    }
    for (const more of [{ at: 1 }, { type: "offer" }, { html: "<b>" }])
      expect(
        await refusalOf(alice.client.say.mutate({ roomId, text: "x", ...more } as never)),
      ).toMatchObject({ reason: "bad-input" });
    await alice.client.say.mutate({ roomId, text: "at last" });
    expect((await bob.next("message")).text).toBe("at last");
  });

  test("10,000 in a second are rate-limited, and nobody else is disturbed", async () => {
    await using server = startServer({
      rates: {
        signals: { perS: 30, burst: 100 },
        intents: { perS: 0, burst: 1 },
        bytes: { perS: 32_768, burst: 131_072 },
      },
    });
    await using flooded = await room(server);
    await using others = await room(server);
    const { alice, bob, roomId } = flooded;
    await using flood = await openRawSocket(`${server.ws}/trpc?connectionParams=1`);
    let [delivered, limited] = [0, 0];
    flood.onAnswer(({ result, error }) => {
      if (result) delivered += 1;
      if (error?.data.reason === "rate-limited") limited += 1;
    });
    flood.send(JSON.stringify({ method: "connectionParams", data: { token: alice.token } }));
    for (let n = 0; n < 10_000; n++)
      flood.send(
        `{"id":${n},"method":"mutation","params":{"input":{"roomId":"${roomId}","text":"${n}"},"path":"say"}}`,
      );
    const slowest = { ms: 0 };
    for (let n = 0; n < 50; n++) {
      const from = performance.now();
      const said = others.alice.client.say.mutate({ roomId: others.roomId, text: `${n}` });
      expect(await said).toEqual({ delivered: true });
      expect((await others.bob.next("message")).text).toBe(`${n}`);
      slowest.ms = Math.max(slowest.ms, performance.now() - from);
    }
    await until("its socket is closed", () => flood.closedWith === 4500);
    expect(delivered).toBeGreaterThanOrEqual(100);
    expect(delivered).toBeLessThan(1000);
    expect(limited).toBeGreaterThan(1000);
    expect(slowest.ms).toBeLessThan(5000);
    // What arrived is in order, and neither partner had to go.
    const told = bob.told.flatMap(({ event }) => (event.type === "message" ? +event.text : []));
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(bob.errors).toEqual([]);
  });
});

describe("the hook", () => {
  test("sees each text with its sender, of all ways, and of rooms for video by CHAT", async () => {
    const seen: ReviewedMessage[] = [];
    await using server = startServer({
      chat: "server",
      message(message) {
        seen.push(message);
        return message.text.toUpperCase();
      },
    });
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await alice.client.join.mutate();
    await bob.client.join.mutate();
    const { roomId, chat } = await alice.next("wait-for-offer");
    expect(chat).toBe("server");
    await alice.client.say.mutate({ roomId, text: "by socket" });
    await alice.client.say.mutate({ roomId, text: "the long way".padEnd(1500, "👋") });
    await httpClient(server, alice.token).say.mutate({ roomId, text: "over HTTP" });
    const texts = [await bob.next("message"), await bob.next("message"), await bob.next("message")];
    expect(texts.map(({ text }) => text.slice(0, 9))).toEqual([
      "BY SOCKET",
      "THE LONG ",
      "OVER HTTP",
    ]);
    const session = alice.token.split(".")[0] ?? "";
    expect(seen.map((message) => ({ ...message, text: "" }))).toEqual(
      Array(3).fill({ text: "", roomId, session, account: undefined, facts: undefined }),
    );
  });

  test("delays nobody but the sender's own texts, and never the way out", async () => {
    const answers: (() => void)[] = [];
    await using server = startServer({
      message: ({ text }) => new Promise((resolve) => answers.push(() => resolve(text))),
      messageFallback: "deliver",
    });
    await using peers = await room(server);
    const { alice, bob, roomId } = peers;
    const saying = alice.client.say.mutate({ roomId, text: "slow" });
    await until("the hook is asked", () => answers.length === 1);
    expect(await alice.client.leave.mutate()).toEqual({ status: "idle" });
    for (const answer of answers) answer();
    expect(await saying).toEqual({ delivered: false });
    await bob.next("partner-disconnected");
    expect(bob.types).not.toContain("message");
    const metrics = await fetch(`${server.http}/metrics`, {
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    expect(await metrics.text()).toMatch(/^peer_stream_messages_total\{outcome="too-late"\} 1$/m);
  });
});
