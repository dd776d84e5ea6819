/** The session model: values in, values out. There are no fakes, clocks or timers here. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Mutation, MutationName } from "../../../src/client/mutations.ts";
import type { SessionCommand, SessionInput } from "../../../src/client/session-input.ts";
import {
  createSessionModel,
  deriveState,
  isRelevant,
  type SessionModel,
} from "../../../src/client/session-model.ts";
import { updateSession } from "../../../src/client/session-update.ts";
import type { PeerStreamError } from "../../../src/client/state.ts";
import {
  limits,
  type EndReason,
  type Media,
  type PeerEvent,
  type PeerState,
  type RoomTerms,
} from "../../../src/protocol.ts";

const remote = { id: "the partner's stream" } as MediaStream;
const suspended: PeerStreamError = {
  kind: "rejected",
  reason: "suspended",
  message: "refused",
  cause: undefined,
};
const notInRoom: PeerStreamError = { ...suspended, reason: "not-in-room" };
const challenged: PeerStreamError = {
  ...suspended,
  reason: "challenge",
  challenge: { kind: "code" },
};
const takenOver: PeerStreamError = { kind: "taken-over", cause: undefined };

const room = (roomId: string): RoomTerms & { iceServers: [] } => ({
  roomId,
  polite: false,
  relayOnly: false,
  sharedInterests: ["chess"],
  partnerFacts: { region: "eu" },
  mode: "video",
  chat: "direct",
  media: { audio: true, video: true },
  proof: `proof of ${roomId}`,
  iceServers: [],
});
const paired = (roomId: string): PeerState => ({
  ...room(roomId),
  status: "paired",
  partner: "here",
});
const idle: PeerState = { status: "idle" };
const waiting: PeerState = { status: "waiting", since: 5 };

// The inputs, in short.
const start: SessionInput = { type: "start", wishes: {} };
const next: SessionInput = { type: "next" };
const stop: SessionInput = { type: "stop" };
const disconnected: SessionInput = { type: "disconnected" };
const hungUp: SessionInput = { type: "call-hung-up" };
const opened: SessionInput = { type: "stream-opened" };
const event = (of: PeerEvent, callAlive = true): SessionInput => ({
  type: "server-event",
  event: of,
  callAlive,
});
const session = (state: PeerState) =>
  event({ type: "session", token: "token", resumed: true, state });
const resync = (state: PeerState) => event({ type: "resync", state });
const lobby = event({ type: "lobby", waiting: 3, online: 9 });
const createOffer = (roomId: string) =>
  event({ ...room(roomId), type: "create-offer", polite: false });
const begun = (roomId: string): SessionInput => ({
  type: "call-begun",
  room: room(roomId),
  remote,
});
const partnerGone = (roomId: string, reason: EndReason, callAlive = true) =>
  event({ type: "partner-disconnected", roomId, reason }, callAlive);

/** What a sequence of inputs leads to. Each one is processed a millisecond after the previous one. */
class Run {
  model: SessionModel;
  /** The commands of the last `apply`. */
  commands: SessionCommand[] = [];
  nowMs: number;

  constructor(model = createSessionModel({ nowMs: 1000, elapsedMs: 0 }), nowMs = 1000) {
    this.model = model;
    this.nowMs = nowMs;
  }

  apply(...inputs: SessionInput[]): this {
    this.commands = [];
    for (const input of inputs) {
      this.nowMs += 1;
      const time = { nowMs: this.nowMs, elapsedMs: this.nowMs - 1000 };
      const { model, commands } = updateSession(this.model, input, time);
      this.model = model;
      this.commands.push(...commands);
    }
    return this;
  }

  /** The server answers all pending mutations. */
  answerAll(): this {
    for (const { key } of this.model.pending)
      this.apply({ type: "mutation-answered", key, accepted: true });
    return this;
  }

  /** The key of the pending mutation of this name. */
  key(name: MutationName): number {
    const entry = this.model.pending.findLast(({ mutation }) => mutation.name === name);
    if (!entry) throw new Error(`${name} is not pending`);
    return entry.key;
  }

  get state() {
    return deriveState(this.model);
  }

  /** The types of the last commands, with the names of mutations. */
  get types(): string[] {
    return this.commands.map((command) =>
      command.type === "enqueue" ? command.mutation.name : command.type,
    );
  }

  /** The names of the last mutations. */
  get mutations(): string[] {
    return this.commands.flatMap((command) =>
      command.type === "enqueue" ? command.mutation.name : [],
    );
  }
}

/** The last room as the state has it, which has ended at this moment. */
const past = (roomId: string, endedAt: number) => ({ roomId, until: endedAt + limits.againMs });
const inLobby = () => new Run().apply(start, opened, session(idle), lobby).answerAll();
const connecting = () => inLobby().apply(createOffer("room-1"), begun("room-1")).answerAll();
const connected = () => connecting().apply({ type: "call-connected" }).answerAll();
/** The server has restarted, and the call continues. */
const orphaned = () => connected().apply(disconnected, session(idle));

describe("what a later server may send", () => {
  const later = (fields: object) => event(fields as PeerEvent);

  test("an event of an unknown type changes nothing", () => {
    const run = new Run().apply(start, opened, session(idle), createOffer("r1"), begun("r1"));
    const { state } = run;
    run.apply(later({ type: "partner-waves", roomId: "r1", hand: "left" }));
    expect(run.commands).toEqual([]);
    expect(run.state).toEqual(state);
  });

  test("unknown fields of known events change nothing", () => {
    const more = { later: { field: 1 }, more: [null] };
    const withMore = ({ ...input }: SessionInput): SessionInput =>
      input.type === "server-event" ? later({ ...input.event, ...more }) : input;
    const story: SessionInput[] = [
      start,
      opened,
      session(idle),
      lobby,
      createOffer("r1"),
      begun("r1"),
      event({ type: "message", roomId: "r1", text: "hi", at: 5 }),
      event({ type: "partner-media", roomId: "r1", audio: true, video: false }),
      event({ type: "partner-reconnecting", roomId: "r1", deadline: 9 }),
      event({ type: "partner-reconnected", roomId: "r1" }),
      event({ type: "partner-disconnected", roomId: "r1", reason: "left" }),
    ];
    const [plain, extended] = [new Run(), new Run()];
    for (const input of story) {
      plain.apply(input);
      extended.apply(withMore(input));
      expect(extended.state).toEqual(plain.state);
      expect(extended.types).toEqual(plain.types);
    }
  });
});

describe("start", () => {
  test("opens the connection, and joins with the wishes when the server has reported a state", () => {
    const run = new Run().apply({ type: "start", wishes: { interests: ["chess"] } });
    expect(run.commands).toEqual([{ type: "open-connection" }]);
    expect(run.state).toEqual({ status: "waiting", since: 1001 });
    run.apply(opened, session(idle));
    expect(run.types).toEqual(["join", "open-queues"]);
    expect(run.commands[0]).toEqual({
      type: "enqueue",
      key: 0,
      mutation: {
        name: "join",
        input: {
          interests: ["chess"],
          languages: [],
          mode: "video",
          relayOnly: false,
          autoRejoin: true,
        },
      },
    });
  });

  test("joins the lobby that it names, until a start without one", () => {
    const run = new Run().apply({ type: "start", wishes: { lobby: "berlin" } });
    run.apply(opened, session(idle));
    expect(run.commands[0]).toMatchObject({ mutation: { input: { lobby: "berlin" } } });
    run.apply({ type: "stop" }, { type: "start", wishes: {} });
    const joins = run.commands.flatMap((one) =>
      one.type === "enqueue" && one.mutation.name === "join" ? [one.mutation.input] : [],
    );
    expect(joins).toHaveLength(1);
    expect(joins[0]).not.toContainKey("lobby");
  });

  test("states facts and wants with each join until the next start, also after a reconnect", () => {
    const wishes = { facts: { age: 31 }, wants: { age: { from: 25, hard: true } } } as const;
    const run = new Run().apply({ type: "start", wishes }, opened, session(idle));
    const joins = () =>
      run.commands.flatMap((command) =>
        command.type === "enqueue" && command.mutation.name === "join"
          ? [command.mutation.input]
          : [],
      );
    expect(joins()).toMatchObject([wishes]);
    run.answerAll().apply(disconnected, opened, session(idle));
    expect(joins()).toMatchObject([wishes]);
    run.answerAll().apply(stop, start);
    const [again] = joins();
    expect(again).toEqual({
      interests: [],
      languages: [],
      mode: "video",
      relayOnly: false,
      autoRejoin: true,
    });
  });

  test("in an unsupported environment is idle with that error, and opens nothing", () => {
    const unsupported: PeerStreamError = {
      kind: "unsupported",
      what: "WebRTC",
      message: "no WebRTC",
      cause: undefined,
    };
    const run = new Run().apply({ type: "start", wishes: {}, unsupported });
    expect(run.state).toEqual({ status: "idle", error: unsupported });
    expect(run.types).not.toContain("open-connection");
  });

  test("in a room changes the wishes only: they are sent with the next lobby", () => {
    const run = connected().apply({ type: "start", wishes: { interests: ["jazz"] } });
    expect(run.types).toEqual(["open-connection"]);
    expect(run.state.status).toBe("connected");
    run.apply(partnerGone("room-1", "left"), lobby);
    expect(run.mutations).toEqual(["join"]);
    expect(run.answerAll().apply(lobby).mutations).toEqual([]);
  });

  test("after a reload leaves the old room instead of entering it", () => {
    const run = new Run().apply(start, opened, session(paired("old-room")));
    expect(run.mutations).toEqual(["leave", "join"]);
    expect(run.types).not.toContain("begin-call");
    expect(run.state.status).toBe("waiting");
  });

  test("and stop, while the server has not answered, end as requested last", () => {
    const run = new Run().apply(start, opened, session(idle), stop, start);
    expect(run.mutations).toEqual(["join", "leave", "join"]);
    expect(run.state.status).toBe("waiting");
    expect(run.apply(stop).mutations).toEqual(["leave"]);
    expect(run.apply(stop).mutations).toEqual([]);
    expect(run.state.status).toBe("idle");
  });

  test("after stop, with the leave still queued, leaves the state that the server reports", () => {
    for (const state of [waiting, paired("room-1")]) {
      const run = connected().apply(disconnected, stop, start);
      expect(run.mutations).toEqual(["leave"]);
      run.apply(session(state));
      expect(run.mutations).toEqual(["join"]);
      expect(run.types).not.toContain("begin-call");
      expect(run.state.status).toBe("waiting");
    }
  });
});

describe("a room", () => {
  test("is entered: a call begins, connects, and is reported to the server", () => {
    const run = inLobby().apply(createOffer("room-1"));
    expect(run.commands).toEqual([
      {
        type: "begin-call",
        room: { ...room("room-1"), type: "create-offer", polite: false } as never,
      },
    ]);
    run.apply(begun("room-1"));
    expect(run.state).toEqual({
      status: "connecting",
      roomId: "room-1",
      sharedInterests: ["chess"],
      partnerFacts: { region: "eu" },
      mode: "video",
      chat: "direct",
    });
    run.apply({ type: "call-connected" });
    expect(run.mutations).toEqual(["connected"]);
    expect(run.state).toEqual({
      status: "connected",
      roomId: "room-1",
      sharedInterests: ["chess"],
      partnerFacts: { region: "eu" },
      mode: "video",
      chat: "direct",
      remote,
      partnerMedia: { audio: true, video: true },
    });
  });

  test("of a server of an earlier version is entered with what that does not send", () => {
    const { mode: _, partnerFacts: __, ...older } = room("room-1");
    const offer = { ...older, type: "create-offer", polite: false } as unknown as PeerEvent;
    expect(inLobby().apply(event(offer)).commands).toMatchObject([
      { type: "begin-call", room: { mode: "video", partnerFacts: {} } },
    ]);
  });

  test("measures the search and the connecting by the monotonic clock", () => {
    const { call, searchingSinceMs } = connected().model;
    expect(searchingSinceMs).toBe(1);
    expect(call?.pairedAtMs).toBeGreaterThan(searchingSinceMs);
    expect(call?.connectedAtMs).toBeGreaterThan(call?.pairedAtMs ?? 0);
  });

  test.each(["left", "skipped", "connect-failed", "removed"] as const)(
    "whose partner is gone (%s) ends, and the peer waits for the next one",
    (reason) => {
      const run = connected().apply(partnerGone("room-1", reason));
      expect(run.commands).toEqual([{ type: "end-call", roomId: "room-1" }]);
      const again = past("room-1", run.nowMs);
      expect(run.state).toEqual({ status: "waiting", since: run.nowMs, ended: reason, again });
    },
  );

  test("ends idle without autoRejoin", () => {
    const run = new Run().apply({ type: "start", wishes: { autoRejoin: false } });
    run.apply(opened, session(idle), createOffer("room-1"), begun("room-1"));
    run.apply(partnerGone("room-1", "left"));
    const again = past("room-1", run.nowMs);
    expect(run.state).toEqual({ status: "idle", ended: "left", again });
  });

  test("is not affected by the end of another one", () => {
    expect(connected().apply(partnerGone("room-0", "left")).commands).toEqual([]);
  });

  test("whose media path fails is reported as failed, with the reason for the page", () => {
    const run = connecting().apply({ type: "call-failed" });
    expect(run.types).toEqual(["end-call", "failed"]);
    expect(run.state).toMatchObject({ status: "waiting", ended: "connect-failed" });
    expect(connected().apply({ type: "call-failed" }).state).toMatchObject({ ended: "media-lost" });
  });

  test("is reported with its path, as far as that is known, when it connects and when it is lost", () => {
    const inputsOf = ({ commands }: ReturnType<typeof connecting>): object[] =>
      commands.flatMap((one) => (one.type === "enqueue" ? one.mutation.input : []));
    const run = connecting().apply({ type: "call-connected", path: "relayed" });
    expect(inputsOf(run)).toEqual([{ roomId: "room-1", path: "relayed" }]);
    run.apply({ type: "call-failed" });
    expect(inputsOf(run)).toEqual([{ roomId: "room-1", path: "relayed" }]);
    expect(inputsOf(connecting().apply({ type: "call-failed" }))).toEqual([{ roomId: "room-1" }]);
  });

  test("that this browser cannot set up ends the search", () => {
    const run = inLobby().apply(createOffer("room-1"));
    run.apply({ type: "call-setup-failed", roomId: "room-1", cause: "no codecs" });
    expect(run.mutations).toEqual(["failed", "leave"]);
    expect(run.state).toMatchObject({
      status: "idle",
      error: { kind: "call-setup", cause: "no codecs" },
    });
  });

  test("that the server assigns after stop is left", () => {
    const run = inLobby().apply(stop).answerAll().apply(createOffer("room-1"));
    expect(run.types).toEqual(["leave"]);
    expect(run.state).toEqual({ status: "idle" });
  });

  test("forwards signals, and repeats the offer when the partner has reconnected", () => {
    const signal = { type: "answer", roomId: "room-1", sdp: "v=0" } as const;
    expect(connecting().apply(event(signal)).commands).toEqual([
      { type: "receive-signal", signal },
    ]);
    expect(inLobby().apply(event(signal)).commands).toEqual([]);
    const run = connecting().apply({ type: "local-signal", signal });
    expect(run.commands).toEqual([{ type: "enqueue-signal", signal }]);
    run.apply(event({ type: "partner-reconnecting", roomId: "room-1", deadline: 99 }));
    expect(run.state).toMatchObject({
      status: "reconnecting",
      what: "partner",
      deadline: 99,
      partnerFacts: { region: "eu" },
    });
    run.apply(event({ type: "partner-reconnected", roomId: "room-1" }));
    expect(run.types).toEqual(["repeat-offer"]);
    expect(run.state.status).toBe("connecting");
  });

  test("ends when the server removes the peer from it, and the join shows the reason", () => {
    const run = connected().apply(resync(idle));
    expect(run.types).toEqual(["end-call", "join"]);
    run.apply({ type: "mutation-refused", key: run.key("join"), error: suspended });
    expect(run.state).toEqual({ status: "idle", error: suspended });
  });
});

describe("messages on the data channel", () => {
  const message = (of: Extract<SessionInput, { type: "data-channel-message" }>["message"]) =>
    ({ type: "data-channel-message", message: of }) as const;

  test("are chat events with a time; a message ends the typing indicator", () => {
    const run = connected().apply(message({ type: "chat", text: "hello" }));
    const chat = { type: "chat", roomId: "room-1", text: "hello", at: run.nowMs } as const;
    expect(run.commands).toEqual([
      { type: "set-partner-typing", typing: false },
      { type: "emit", event: { ...chat, from: "partner" } },
    ]);
    run.apply({ type: "chat-sent", text: "hello" });
    expect(run.commands).toEqual([
      { type: "end-own-typing" },
      { type: "emit", event: { ...chat, at: run.nowMs, from: "me" } },
    ]);
    run.apply(message({ type: "typing", typing: true }));
    expect(run.commands).toEqual([{ type: "set-partner-typing", typing: true }]);
  });
});

describe("what is sent", () => {
  const served = (roomId: string, media: Media) =>
    event({ type: "partner-media", roomId, ...media });
  const told = (run: Run) =>
    run.commands.flatMap((command) =>
      command.type === "enqueue-telling" && command.mutation.name === "media"
        ? [`${command.mutation.input.audio} ${command.mutation.input.video}`]
        : [],
    );

  test("by the partner is what the server says, from the pairing on; a repetition changes nothing", () => {
    const run = connected();
    expect(run.state).toMatchObject({ partnerMedia: { audio: true, video: true } });
    run.apply(served("room-1", { audio: true, video: false }));
    expect(run.state).toMatchObject({ partnerMedia: { audio: true, video: false } });
    const { model } = run;
    run.apply(served("room-1", { audio: true, video: false }));
    expect(run.model.call).toBe(model.call as NonNullable<typeof model.call>);
    run.apply(served("room-0", { audio: false, video: false }));
    expect(run.state).toMatchObject({ partnerMedia: { audio: true, video: false } });
    run.apply(partnerGone("room-1", "left"), createOffer("room-2"), begun("room-2"));
    run.apply({ type: "call-connected" });
    expect(run.state).toMatchObject({ partnerMedia: { audio: true, video: true } });
  });

  test("by this peer is told on every change; while the server is away only the latest waits", () => {
    const run = connected();
    run.apply({ type: "local-media", media: { audio: true, video: false } });
    expect(told(run)).toEqual(["true false"]);
    const media = (audio: boolean, video: boolean): Mutation => ({
      name: "media",
      input: { roomId: "room-1", audio, video },
    });
    expect(isRelevant(run.model, media(true, false))).toBe(true);
    run.apply(disconnected, { type: "local-media", media: { audio: false, video: false } });
    expect(isRelevant(run.model, media(true, false))).toBe(false);
    expect(isRelevant(run.model, media(false, false))).toBe(true);
  });

  test("by this peer is told again when the server reports the room anew, if it was not all that the mode allows", () => {
    const usual = connected();
    usual.apply(disconnected, session(paired("room-1")));
    expect(told(usual)).toEqual([]);
    const run = connected();
    run.apply({ type: "local-media", media: { audio: true, video: false } });
    run.apply(disconnected, session(paired("room-1")));
    expect(told(run)).toEqual(["true false"]);
    run.apply(resync(paired("room-1")));
    expect(told(run)).toEqual(["true false"]);
    // A server without the room can't be told, and is once it has it again.
    run.apply(disconnected, session({ status: "idle" }));
    run.apply({ type: "local-media", media: { audio: false, video: false } });
    expect(told(run)).toEqual([]);
    run.apply(disconnected, session(paired("room-1")));
    expect(told(run)).toEqual(["false false"]);
  });
});

describe("next", () => {
  test("ends the call and names the room to skip", () => {
    const run = connected().apply(next);
    expect(run.commands).toMatchObject([
      { type: "end-call", roomId: "room-1" },
      { type: "enqueue", mutation: { name: "skip", input: { roomId: "room-1" } } },
    ]);
    const again = past("room-1", run.nowMs);
    expect(run.state).toEqual({ status: "waiting", since: run.nowMs, again });
  });

  test("does nothing while waiting, and searches again when idle", () => {
    expect(inLobby().apply(next).commands).toEqual([]);
    expect(inLobby().apply(stop).apply(next).types).toEqual(["open-connection", "join"]);
  });

  test("is sent once, also if the server reports the room again before it has received the skip", () => {
    const run = connected().apply(disconnected, next);
    expect(run.mutations).toEqual(["skip"]);
    run.apply(session(paired("room-1")));
    expect(run.types).toEqual(["open-queues"]);
    expect(run.state.status).toBe("waiting");
    // The server has refused the skip, or has restored the room since.
    run.answerAll().apply(session(paired("room-1")));
    expect(run.mutations).toEqual(["skip"]);
  });

  test("is irrelevant once the server reports another room", () => {
    const run = connected().apply(disconnected, next);
    const { mutation } = run.model.pending[0] ?? {};
    if (!mutation) throw new Error("skip should be pending");
    expect(isRelevant(run.model, mutation)).toBe(true);
    run.apply(session(paired("room-2")));
    expect(isRelevant(run.model, mutation)).toBe(false);
    expect(run.types).toEqual(["begin-call", "open-queues"]);
    expect(run.apply({ type: "mutation-dropped", key: run.key("skip") }).model.pending).toEqual([]);
  });
});

describe("report and block", () => {
  test("end the call at once, and the peer joins again when the server has accepted", () => {
    const run = connected().apply({ type: "report", request: 7, reason: "spam" });
    expect(run.commands).toMatchObject([
      { type: "end-call" },
      {
        type: "enqueue",
        mutation: { name: "report", input: { roomId: "room-1", reason: "spam" } },
      },
    ]);
    expect(run.state.status).toBe("waiting");
    run.apply({ type: "mutation-answered", key: run.key("report"), accepted: true });
    expect(run.commands).toMatchObject([
      { type: "enqueue", mutation: { name: "join" } },
      { type: "resolve-request", request: 7, outcome: { ok: true, accepted: true } },
    ]);
  });

  test("name the last room when there is no call, and are not accepted without any", () => {
    const run = connected().apply(partnerGone("room-1", "left"), { type: "block", request: 1 });
    expect(run.commands.at(-1)).toMatchObject({
      mutation: { name: "block", input: { roomId: "room-1" } },
    });
    const outcome = { ok: true, accepted: false };
    expect(inLobby().apply({ type: "block", request: 2 }).commands).toMatchObject([
      { type: "resolve-request", request: 2, outcome },
    ]);
  });

  test("that the server refuses skip the room that it still has, and join otherwise", () => {
    const run = connected().apply({ type: "block", request: 1 });
    run.apply({ type: "mutation-refused", key: run.key("block"), error: suspended });
    expect(run.types).toEqual(["skip", "resolve-request"]);
    const alone = orphaned().apply({ type: "block", request: 1 });
    alone.apply({ type: "mutation-refused", key: alone.key("block"), error: notInRoom });
    expect(alone.types).toEqual(["join", "resolve-request"]);
    expect(alone.commands.at(-1)).toMatchObject({ outcome: { ok: false, error: notInRoom } });
  });
});

describe("a report with details", () => {
  const shown = { note: "a note", evidence: { still: "…" } };

  test("sends them, and resolves with the case's id", () => {
    const run = connected().apply({ type: "report", request: 7, reason: "spam", ...shown });
    const input = { roomId: "room-1", reason: "spam", ...shown };
    expect(run.commands).toContainEqual(
      expect.objectContaining({ type: "enqueue", mutation: { name: "report", input } }),
    );
    run.apply({
      type: "mutation-answered",
      key: run.key("report"),
      accepted: true,
      caseId: "a case",
    });
    const outcome = { ok: true, accepted: true, caseId: "a case" };
    expect(run.commands).toContainEqual({ type: "resolve-request", request: 7, outcome } as never);
  });

  test("can quote the last messages of its room, also after the end, and as many as the server takes", () => {
    const run = connected();
    const said = (text: string) =>
      run.apply({ type: "data-channel-message", message: { type: "chat", text } });
    said("hello");
    run.apply({ type: "chat-sent", text: "hi" });
    const quoted = () => run.model.messages.map(({ from, text }) => `${from}: ${text}`);
    expect(quoted()).toEqual(["partner: hello", "me: hi"]);
    run.apply(partnerGone("room-1", "left"));
    expect(quoted()).toEqual(["partner: hello", "me: hi"]);
    run.apply(createOffer("room-2"), begun("room-2"));
    expect(quoted()).toEqual([]);
    for (let n = 0; n < 40; n++) said(`${n}`);
    expect(quoted()).toHaveLength(30);
    expect(quoted().at(-1)).toBe("partner: 39");
    for (let n = 0; n < 5; n++) said("é".repeat(1000));
    // Four of 2,000 bytes, and as many of the small ones as there is room for.
    expect(run.model.messages.filter(({ text }) => text.length === 1000)).toHaveLength(4);
  });
});

describe("a warning and a suspension", () => {
  test("that comes is an event for the page, whatever it does", () => {
    const warning = { type: "warning", because: "spam", caseId: "a case" } as const;
    for (const run of [connected(), inLobby()])
      expect(run.apply(event(warning)).commands).toEqual([{ type: "emit", event: warning }]);
  });

  test("that ends a call leaves the peer idle, with its reasons, and asks for nothing", () => {
    const notice = { until: 5, because: "hate", caseId: "a case", appeal: "write to us" } as const;
    const run = connected().apply(
      event({ type: "resync", state: { status: "idle" }, suspended: notice }),
    );
    expect(run.types).not.toContain("enqueue");
    expect(run.state).toEqual({
      status: "idle",
      error: expect.objectContaining({ kind: "rejected", reason: "suspended", ...notice }),
    } as never);
  });
});

describe("again", () => {
  const again: SessionInput = { type: "again", request: 7 };
  const nothing = { type: "resolve-request", request: 7, outcome: { ok: true, accepted: false } };
  const skipped = () => connected().apply(next).answerAll().apply(lobby);

  test("asks for the last room, once, and keeps waiting meanwhile", () => {
    const run = skipped().apply(again);
    expect(run.commands).toMatchObject([
      { type: "enqueue", mutation: { name: "again", input: { roomId: "room-1" } } },
    ]);
    expect(run.state.status).toBe("waiting");
    expect(run.state).not.toHaveProperty("again");
    run.apply({ type: "mutation-answered", key: run.key("again"), accepted: true });
    expect(run.commands).toEqual([{ ...nothing, outcome: { ok: true, accepted: true } } as never]);
    expect(run.apply(again).commands).toEqual([nothing as never]);
    run.apply(createOffer("room-2"));
    expect(run.types).toEqual(["begin-call"]);
  });

  test.each([
    ["without a room before", () => inLobby()],
    ["in a call", () => connected()],
    [
      "after the next call has begun",
      () => skipped().apply(createOffer("room-2"), begun("room-2")),
    ],
    ["after a report", () => connected().apply({ type: "report", request: 1 })],
    ["after a late block", () => skipped().apply({ type: "block", request: 1 })],
    ["after a moderator has ended the room", () => connected().apply(resync(idle))],
    ["after the page was hidden", () => connected().apply({ type: "page-hide" })],
    [
      "after another tab has taken over",
      () => connected().apply({ type: "stream-ended", error: takenOver }),
    ],
  ])("asks for nobody %s", (_, make) => {
    const run = make();
    expect(run.state).not.toHaveProperty("again");
    expect(run.apply(again).commands).toEqual([nothing as never]);
  });

  test("asks for nobody once the time is over", () => {
    const run = skipped();
    const { until } = "again" in run.state && run.state.again ? run.state.again : { until: 0 };
    run.nowMs = until - 2;
    expect(new Run(run.model, run.nowMs).apply(again).mutations).toEqual(["again"]);
    run.nowMs += 1;
    expect(run.apply(again).commands).toEqual([nothing as never]);
    expect(run.state).not.toHaveProperty("again");
  });

  test("of a peer that is idle leads to a call as well, until it stops", () => {
    const alone = () =>
      new Run()
        .apply({ type: "start", wishes: { autoRejoin: false } }, opened, session(idle))
        .apply(createOffer("room-1"), begun("room-1"), partnerGone("room-1", "lost"))
        .answerAll()
        .apply(again)
        .answerAll();
    const run = alone();
    expect(run.state).toEqual({ status: "idle", ended: "lost" });
    expect(run.apply(createOffer("room-2")).types).toEqual(["begin-call"]);
    expect(alone().apply(resync(paired("room-2"))).types).toEqual(["begin-call"]);
    const stopped = alone().apply(stop);
    expect(stopped.mutations).toEqual(["leave"]);
    expect(stopped.answerAll().apply(createOffer("room-2")).types).toEqual(["leave"]);
    expect(alone().apply({ type: "close" }).types).toContain("send-leave-on-unload");
  });

  test("after stop asks without looking for anybody else", () => {
    const run = connected().apply(stop).answerAll().apply(again);
    expect(run.mutations).toEqual(["again"]);
    expect(run.answerAll().apply(disconnected, session(idle)).mutations).toEqual([]);
  });

  test("that is refused ends nothing", () => {
    const run = skipped().apply(again);
    run.apply({ type: "mutation-refused", key: run.key("again"), error: notInRoom });
    const outcome = { ok: false, error: notInRoom };
    expect(run.commands).toEqual([{ type: "resolve-request", request: 7, outcome } as never]);
    expect(run.state.status).toBe("waiting");
    expect(run.model.asksAgain).toBe(false);
  });

  test("is not sent late, after stop", () => {
    const run = skipped().apply(disconnected, again);
    const [{ mutation } = { mutation: undefined }] = run.model.pending.slice(-1);
    if (!mutation) throw new Error("again must be pending");
    expect(isRelevant(run.model, mutation)).toBe(true);
    expect(isRelevant(run.apply(stop).model, mutation)).toBe(false);
  });
});

describe("a lost connection", () => {
  test("holds the queues; the call continues, and the offer is repeated afterwards", () => {
    const run = connected().apply(disconnected);
    expect(run.types).toEqual(["hold-queues"]);
    expect(run.state).toMatchObject({ status: "reconnecting", what: "signaling", remote });
    run.apply(session(paired("room-1")));
    expect(run.types).toEqual(["open-queues", "repeat-offer"]);
    expect(run.state.status).toBe("connected");
  });

  test("in the lobby keeps the ticket, and joins only if the server has none or the wishes changed", () => {
    const run = inLobby().apply(disconnected);
    expect(run.state).toEqual({ status: "reconnecting", what: "signaling" });
    run.apply(session(waiting));
    expect(run.mutations).toEqual([]);
    expect(run.state).toMatchObject({ status: "waiting", since: 5 });
    expect(inLobby().apply(disconnected, session(idle)).mutations).toEqual(["join"]);
    const changed = inLobby().apply(disconnected, {
      type: "start",
      wishes: { interests: ["jazz"] },
    });
    expect(changed.mutations).toEqual([]);
    expect(changed.apply(session(waiting)).mutations).toEqual(["join"]);
  });

  test("with a partner that has hung up ends the call; the server's room is skipped afterwards", () => {
    const run = connected().apply(disconnected, hungUp);
    expect(run.types).toContain("end-call");
    const reconnecting = { status: "reconnecting", what: "signaling", ended: "left" } as const;
    expect(run.state).toEqual({ ...reconnecting, again: past("room-1", run.nowMs) });
    run.apply(session(paired("room-1")));
    expect(run.mutations).toEqual(["skip"]);
    expect(run.state).toMatchObject({ status: "waiting", ended: "left" });
  });

  test("in the other order does the same: hung up first, then disconnected", () => {
    const run = connected().apply(hungUp);
    // The server's event follows and contains the reason.
    expect(run.commands).toEqual([]);
    run.apply(disconnected);
    expect(run.state).toMatchObject({ what: "signaling", ended: "left" });
  });

  test("that ends in another room ends the call of the first one", () => {
    const run = connected().apply(disconnected, session(paired("room-2")));
    expect(run.types).toEqual(["hold-queues", "end-call", "begin-call", "open-queues"]);
  });

  test("with the pairing missed is made up for by the state that is reported", () => {
    const run = inLobby().apply(disconnected, session(idle), resync(paired("room-2")));
    expect(run.types).toContain("begin-call");
  });

  test("is not a hand-over to another socket, which changes nothing", () => {
    const run = connected();
    const before = run.state;
    run.apply({ type: "socket-opened" }, session(paired("room-1")));
    expect(run.types).toEqual(["hand-over-queues", "open-queues"]);
    expect(run.state).toEqual(before);
  });
});

describe("an orphaned call", () => {
  test("is established and continues after a restart of the server", () => {
    const run = orphaned();
    expect(run.mutations).toEqual(["connected"]);
    expect(run.state).toMatchObject({ status: "connected", roomId: "room-1", orphaned: true });
    // `resync` with the same state does not end it either.
    expect(run.apply(resync(idle)).types).toEqual([]);
    expect(run.state).toMatchObject({ orphaned: true });
  });

  test("is not one that is still connecting: the peer joins again", () => {
    const run = connecting().apply(disconnected, session(idle));
    expect(run.types).toEqual(["hold-queues", "end-call", "join", "open-queues"]);
  });

  test("has left the lobby, and no next partner ends it", () => {
    const run = connected().apply(partnerGone("room-1", "lost"));
    expect(run.types).toEqual(["leave", "connected"]);
    expect(run.state).toMatchObject({ status: "connected", orphaned: true });
    expect(run.apply(lobby).types).toEqual([]);
    const paired = run.answerAll().apply(createOffer("room-2"));
    // The next room is left, and the one that was lost is waited for anew.
    expect(paired.types).toEqual(["leave", "connected"]);
    expect(run.state).toMatchObject({ roomId: "room-1", orphaned: true });
  });

  test.each<[string, SessionInput[], boolean]>([
    ["is interrupted", [{ type: "call-interrupted", interrupted: true }], true],
    ["was hung up", [hungUp], true],
    ["has no open data channel", [], false],
  ])("is not one that %s: it ends as lost", (_why, inputs, callAlive) => {
    const run = connected().apply(...inputs, partnerGone("room-1", "lost", callAlive));
    expect(run.state).toMatchObject({ status: "waiting", ended: "lost" });
  });

  test("ends when the partner hangs up or the path is lost, and the peer joins again", () => {
    const left = orphaned().apply(hungUp);
    expect(left.types).toEqual(["end-call", "join"]);
    expect(left.state).toMatchObject({ status: "waiting", ended: "left" });
    const lost = orphaned().apply({ type: "call-failed" });
    expect(lost.types).toEqual(["end-call", "join"]);
    expect(lost.state).toMatchObject({ status: "waiting", ended: "media-lost" });
  });

  test("is joined from with next, as there is no room to skip", () => {
    expect(orphaned().apply(next).types).toEqual(["end-call", "join"]);
  });

  test("sends no signals, until the server reports its room again", () => {
    const offer = { name: "offer", input: { roomId: "room-1", sdp: "v=0" } } as const;
    const run = orphaned();
    expect(isRelevant(run.model, offer)).toBe(false);
    run.apply(session(paired("room-1")));
    expect(run.state).not.toHaveProperty("orphaned");
    expect(isRelevant(run.model, offer)).toBe(true);
  });
});

describe("a living call", () => {
  const reconnecting = (deadline: number) =>
    event({ type: "partner-reconnecting", roomId: "room-1", deadline });
  const interrupted = (is: boolean): SessionInput => ({
    type: "call-interrupted",
    interrupted: is,
  });
  const keep: SessionInput = { type: "keep-place" };
  const presented = { roomId: "room-1", proof: "proof of room-1" };
  const inputs = (run: Run): unknown[] =>
    run.commands.flatMap((one) => (one.type === "enqueue" ? one.mutation.input : []));

  test("keeps the place of a partner that the server has lost, in time before its grace is over", () => {
    const run = connected();
    run.apply(reconnecting(run.nowMs + 1 + 8000));
    expect(run.commands).toEqual([{ type: "keep-place", afterMs: 7000 }]);
    expect(run.state).toMatchObject({ status: "reconnecting", what: "partner" });
    run.apply(keep);
    expect(inputs(run)).toEqual([presented]);
    // Once the place is kept for minutes there is no hurry, and while an answer is awaited there is nothing to say.
    expect(run.apply(reconnecting(run.nowMs + 300_000)).types).toEqual(["keep-place"]);
    expect(run.apply(keep).types).toEqual([]);
    run.answerAll().apply(event({ type: "partner-reconnected", roomId: "room-1" }));
    expect(run.state).toMatchObject({ status: "connected" });
    expect(run.apply(keep).types).toEqual([]);
  });

  test("never waits for longer than 10 s with that, whatever the server's clock shows", () => {
    const run = connected().apply(reconnecting(9e12));
    expect(run.commands).toEqual([{ type: "keep-place", afterMs: 10_000 }]);
    expect(connected().apply(reconnecting(0)).commands).toEqual([
      { type: "keep-place", afterMs: 0 },
    ]);
  });

  test.each<[string, SessionInput]>([
    ["the path is broken", interrupted(true)],
    ["the partner has hung up", hungUp],
  ])("keeps no place when %s", (_why, happens) => {
    const run = connected().apply(reconnecting(0), happens, keep);
    expect(run.mutations).toEqual([]);
  });

  test("whose timers come a minute late, as in a hidden page, waits for the room that is lost by then", () => {
    const run = connected().apply(reconnecting(0), partnerGone("room-1", "lost"));
    expect(run.mutations).toEqual(["leave", "connected"]);
    run.answerAll().apply(keep);
    expect(run.mutations).toEqual([]);
    expect(run.state).toMatchObject({ status: "connected", orphaned: true });
  });

  test("keeps it as soon as the path is back", () => {
    const run = connected().apply(reconnecting(0), interrupted(true), keep);
    run.apply(interrupted(false));
    expect(inputs(run)).toEqual([presented]);
  });

  test("learns of an absent partner by the state after a reconnect, too", () => {
    const away = { ...paired("room-1"), partner: "reconnecting", deadline: 0 } as PeerState;
    const run = connected().apply(disconnected, session(away));
    expect(run.types).toContain("keep-place");
  });

  test("without a proof is left as the server has it", () => {
    const { proof: _, ...bare } = room("room-1");
    const run = inLobby()
      .apply(createOffer("room-1"), { type: "call-begun", room: bare, remote })
      .apply({ type: "call-connected" })
      .answerAll();
    expect(run.apply(reconnecting(0)).types).toEqual([]);
    expect(run.apply(keep).types).toEqual([]);
    run.apply(disconnected, session(idle));
    expect(run.mutations).toEqual([]);
    expect(run.state).toMatchObject({ orphaned: true });
  });

  test("waits for its lost room, which is whole again when the server says so", () => {
    const run = orphaned();
    expect(inputs(run)).toEqual([presented]);
    const { mutation } = run.model.pending.at(-1) ?? {};
    expect(mutation && isRelevant(run.model, mutation)).toBe(true);
    run.answerAll().apply(resync({ ...room("room-1"), proof: "another", ...whole }));
    expect(run.types).toEqual(["repeat-offer"]);
    expect(run.state).toMatchObject({ status: "connected", roomId: "room-1" });
    expect(run.state).not.toHaveProperty("orphaned");
    // From now on `next` is a skip, and the end of the room offers to meet again, as ever.
    expect(run.apply(next).types).toEqual(["end-call", "skip"]);
    expect(run.model.again?.roomId).toBe("room-1");
    const later = connected().apply(disconnected, session(idle)).answerAll();
    later.apply(resync({ ...room("room-1"), proof: "another", ...whole }));
    later.apply(disconnected, session(idle));
    expect(inputs(later)).toEqual([{ roomId: "room-1", proof: "another" }]);
  });

  test("presents its proof again after each reconnect, once", () => {
    const run = orphaned().answerAll();
    run.apply(disconnected, session(idle), resync(idle));
    expect(run.mutations).toEqual(["connected"]);
  });

  test("goes on orphaned when the server knows no such proof, and ends when it is suspended", () => {
    const run = orphaned();
    run.apply({ type: "mutation-refused", key: run.key("connected"), error: notInRoom });
    expect(run.state).toMatchObject({ status: "connected", orphaned: true });
    const out = orphaned();
    out.apply({ type: "mutation-refused", key: out.key("connected"), error: suspended });
    expect(out.state).toMatchObject({ status: "idle", error: { reason: "suspended" } });
  });

  test("tells a server that has lost it what it sends, and keeps what the partner has said", () => {
    const off = { audio: true, video: false };
    const run = connected().apply({ type: "local-media", media: off });
    run.apply(event({ type: "partner-media", roomId: "room-1", ...off }));
    run.apply(disconnected, session(idle)).answerAll();
    expect(run.state).toMatchObject({ orphaned: true, partnerMedia: off });
    run.apply(resync({ ...room("room-1"), ...whole }));
    expect(run.commands).toContainEqual({
      type: "enqueue-telling",
      mutation: { name: "media", input: { roomId: "room-1", ...off } },
    });
    // What the server takes for granted is not what the partner has said.
    expect(run.state).toMatchObject({ partnerMedia: off });
  });

  const whole = { status: "paired", partner: "here" } as const;
});

describe("another peer on the same page", () => {
  test("that is detected by this peer is blocked, and nothing is shown", () => {
    const run = inLobby().apply(createOffer("room-1"));
    run.apply({ type: "same-page-partner", roomId: "room-1", detected: true });
    expect(run.commands).toMatchObject([{ type: "enqueue", mutation: { name: "block" } }]);
    expect(run.state.status).toBe("waiting");
    // A reconnect before the block has been answered does not enter the room again.
    run.apply(disconnected, session(paired("room-1")));
    expect(run.types).toEqual(["hold-queues", "open-queues"]);
    expect(run.answerAll().apply(partnerGone("room-1", "left")).mutations).toEqual(["join"]);
    expect(run.state).not.toHaveProperty("ended");
  });

  test("that detects this one ends the call, and the end of the room is not shown", () => {
    const run = connecting();
    run.apply({ type: "same-page-partner", roomId: "room-1", detected: false });
    expect(run.types).toEqual(["end-call"]);
    expect(run.apply(partnerGone("room-1", "left")).mutations).toEqual(["join"]);
    expect(run.state).not.toHaveProperty("ended");
    expect(run.answerAll().apply(createOffer("room-2")).types).toEqual(["begin-call"]);
  });
});

describe("another tab", () => {
  test("that takes the session over ends everything; start takes it back and leaves its room", () => {
    const run = connected().apply({ type: "stream-ended", error: takenOver });
    expect(run.types).toEqual(["hold-queues", "clear-mutations", "clear-signals", "end-call"]);
    expect(run.state).toEqual({ status: "idle", error: takenOver });
    run.apply(start, opened, session(paired("room-of-the-other-tab")));
    expect(run.mutations).toEqual(["leave", "join"]);
    expect(run.state.status).toBe("waiting");
  });
});

describe("the page", () => {
  test("that is hidden leaves at once, and joins again when it is restored", () => {
    const run = connected().apply({ type: "page-hide" });
    expect(run.types).toEqual([
      "send-leave-on-unload",
      "end-call",
      "clear-mutations",
      "clear-signals",
    ]);
    run.apply(disconnected, { type: "page-show" });
    expect(run.mutations).toEqual([]);
    expect(run.apply(session(idle)).mutations).toEqual(["join"]);
  });

  test("that is hidden while idle sends nothing, unless its leave has no answer yet", () => {
    expect(new Run().apply({ type: "page-hide" }).commands).toEqual([]);
    const stopped = inLobby().apply(stop);
    expect(stopped.apply({ type: "page-hide" }).types).toContain("send-leave-on-unload");
  });

  test("renews the connection and the media path after sleep, if it wants a partner", () => {
    expect(connected().apply({ type: "resume" }).types).toEqual([
      "renew-connection",
      "resume-call",
    ]);
    expect(inLobby().apply({ type: "resume" }).types).toEqual([
      "renew-connection",
      "renew-standing-offer",
    ]);
    expect(new Run().apply({ type: "resume" }).commands).toEqual([]);
  });

  test("that closes the peer resolves its requests, and later calls fail by name", () => {
    const run = connected().apply({ type: "report", request: 3 }, { type: "close" });
    expect(run.commands).toContainEqual({
      type: "resolve-request",
      request: 3,
      outcome: { ok: true, accepted: false },
    });
    expect(run.types).toContain("close-connection");
    expect(run.state).toEqual({ status: "idle" });
    expect(run.apply(start).commands).toEqual([]);
    expect(run.state).toMatchObject({ status: "idle", error: { kind: "closed" } });
    expect(run.apply({ type: "block", request: 4 }).commands).toMatchObject([
      { type: "resolve-request", request: 4, outcome: { ok: false, error: { kind: "closed" } } },
    ]);
    expect(run.apply(session(paired("room-2")), lobby, hungUp).commands).toEqual([]);
  });
});

describe("refusals", () => {
  test("of a join or an offer end the search; `not-in-room` is followed by the event that explains it", () => {
    const run = new Run().apply(start, opened, session(idle));
    run.apply({ type: "mutation-refused", key: run.key("join"), error: suspended });
    expect(run.state).toEqual({ status: "idle", error: suspended });
    expect(run.model.pending).toEqual([]);
    const offer = connected().apply({ type: "signal-refused", error: suspended });
    expect(offer.types).toEqual(["leave", "clear-signals", "end-call"]);
    expect(connected().apply({ type: "signal-refused", error: notInRoom }).commands).toEqual([]);
  });

  test("of `connected`, `failed` and `leave` change nothing", () => {
    const run = connecting().apply({ type: "call-connected" });
    run.apply({ type: "mutation-refused", key: run.key("connected"), error: suspended });
    expect(run.commands).toEqual([]);
    expect(run.state.status).toBe("connected");
  });

  test("of mutations that are not pending are ignored", () => {
    const run = connected();
    for (const type of ["mutation-refused", "mutation-answered", "mutation-dropped"] as const)
      run.apply({ type, key: 999, accepted: true, error: suspended } as SessionInput);
    expect(run.commands).toEqual([]);
  });
});

describe("what the server reports", () => {
  const skip = (roomId: string) => ({ name: "skip", input: { roomId } }) as const;

  test("about the partner of another room is ignored", () => {
    const other = event({ type: "partner-reconnecting", roomId: "room-0", deadline: 9 });
    const run = connected().apply(other);
    expect(run.state.status).toBe("connected");
    run.apply(event({ type: "partner-reconnecting", roomId: "room-1", deadline: 99 }));
    run.apply(event({ type: "partner-reconnected", roomId: "room-0" }));
    expect(run.types).toEqual([]);
    expect(run.state).toMatchObject({ what: "partner", deadline: 99 });
  });

  test("determines which room a skip can still leave", () => {
    expect(isRelevant(connected().model, skip("room-1"))).toBe(true);
    for (const input of [
      lobby,
      partnerGone("room-1", "left"),
      { type: "page-hide" } as const,
      { type: "stream-ended", error: takenOver } as const,
    ])
      expect(isRelevant(connected().apply(input).model, skip("room-1"))).toBe(false);
    const after = connected().apply(partnerGone("room-0", "left"));
    expect(isRelevant(after.model, skip("room-1"))).toBe(true);
  });

  test("as the lobby ends a call, and is left by a peer that does not want a partner", () => {
    expect(connected().apply(lobby).types).toEqual(["end-call"]);
    const stopped = inLobby().apply(stop).answerAll();
    expect(stopped.apply(lobby).mutations).toEqual(["leave"]);
  });

  test("as waiting ends a call", () => {
    expect(connected().apply(resync(waiting)).types).toEqual(["end-call"]);
  });

  test("as idle is what a stopped peer wants", () => {
    const stopped = inLobby().apply(stop).answerAll().apply(disconnected, session(idle));
    expect(stopped.mutations).toEqual([]);
  });

  test("as a room that was entered between stop and start ends the call, too", () => {
    const run = inLobby().apply(stop, start, createOffer("room-1"), begun("room-1"));
    run.apply(disconnected, session(paired("room-1")));
    expect(run.types).toEqual(["hold-queues", "end-call", "open-queues"]);
    expect(isRelevant(run.model, skip("room-1"))).toBe(false);
  });

  test("twice about the same room begins one call", () => {
    expect(connected().apply(createOffer("room-1")).types).toEqual([]);
  });
});

describe("the public state", () => {
  test("shows an interrupted media path", () => {
    const run = connected().apply({ type: "call-interrupted", interrupted: true });
    expect(run.state).toMatchObject({ status: "reconnecting", what: "media", remote });
    run.apply({ type: "call-interrupted", interrupted: false });
    expect(run.state.status).toBe("connected");
  });

  test("keeps the reason of the last end until the page or the next room replaces it", () => {
    const ended = () => connected().apply(partnerGone("room-1", "left"));
    expect(ended().apply(lobby).state).toHaveProperty("ended", "left");
    for (const input of [start, stop, { type: "close" } as const])
      expect(ended().apply(input).state).not.toHaveProperty("ended");
    const again = ended().apply(createOffer("room-2"), begun("room-2"));
    for (const input of [next, { type: "report", request: 1 } as const])
      expect(new Run(again.model).apply(input).state).not.toHaveProperty("ended");
    expect(ended().apply({ type: "signal-refused", error: suspended }).state).toEqual({
      status: "idle",
      error: suspended,
    });
  });

  test("keeps an error until start or stop", () => {
    const failed = () => inLobby().apply({ type: "signal-refused", error: suspended });
    expect(failed().apply(start).apply(stop).state).toEqual({ status: "idle" });
    expect(failed().apply(stop).state).toEqual({ status: "idle" });
    expect(failed().apply({ type: "close" }).state).toEqual({ status: "idle" });
  });

  test("shows since when the peer waits: since the last call, or since the page was hidden", () => {
    const run = inLobby();
    const since = run.state;
    expect(run.apply(start).state).toEqual(since);
    for (const input of [{ type: "block", request: 1 }, { type: "page-hide" }] as const) {
      const call = connected().apply(input);
      expect(call.state).toEqual({ status: "waiting", since: call.nowMs });
    }
  });
});

describe("a peer without autoRejoin", () => {
  const alone = () =>
    new Run()
      .apply({ type: "start", wishes: { autoRejoin: false } }, opened, session(idle))
      .apply(createOffer("room-1"), begun("room-1"), { type: "call-connected" })
      .answerAll();

  test("is idle after a report, and after the end of an orphaned call", () => {
    const reported = alone().apply({ type: "report", request: 1 });
    expect(reported.state).toEqual({ status: "idle" });
    expect(reported.answerAll().mutations).toEqual([]);
    const run = alone().apply(disconnected, session(idle));
    const again = past("room-1", run.nowMs);
    run.apply(hungUp);
    // The server is not to wait for the room any more.
    expect(run.mutations).toEqual(["leave"]);
    expect(run.state).toEqual({ status: "idle", ended: "left", again });
  });

  test("does not search again when the room with a peer on the same page has ended", () => {
    const run = alone().apply(
      { type: "same-page-partner", roomId: "room-1", detected: false },
      stop,
    );
    expect(run.answerAll().apply(partnerGone("room-1", "left")).mutations).toEqual([]);
  });
});

describe("the queue of mutations", () => {
  test("is empty after the page was hidden: the join is enqueued again", () => {
    const run = new Run().apply(start, opened, session(idle), { type: "page-hide" });
    expect(run.apply({ type: "page-show" }).mutations).toEqual(["join"]);
  });

  test("gets no join from a page that is restored without wanting a partner", () => {
    const run = inLobby().apply(stop).answerAll().apply({ type: "page-show" });
    expect(run.mutations).toEqual([]);
  });

  test("gets no join for a report that is answered in the next call", () => {
    const run = connected().apply({ type: "report", request: 1 }, lobby);
    run.apply(createOffer("room-2"), begun("room-2")).answerAll();
    expect(run.mutations).toEqual([]);
  });

  test("gets no leave when a peer stops that is idle", () => {
    expect(new Run().apply(stop).commands).toEqual([]);
  });

  test("is cleared on close, and the leave is sent in another way if the server may have the peer", () => {
    const close: SessionInput = { type: "close" };
    const rest = ["hold-queues", "close-connection", "clear-mutations", "clear-signals"];
    expect(new Run().apply(close).types).toEqual(rest);
    expect(inLobby().apply(close).types).toEqual(["send-leave-on-unload", ...rest]);
    expect(inLobby().apply(close, { type: "page-hide" }).types.slice(5)).toEqual([]);
  });

  test("is cleared by a refusal that another tab has taken over; start then begins as with a new stream", () => {
    const run = new Run().apply(start, opened, session(idle));
    run.apply({ type: "mutation-refused", key: run.key("join"), error: takenOver });
    expect(run.model.pending).toEqual([]);
    run.apply(start, session(paired("room-of-the-other-tab")));
    expect(run.mutations).toEqual(["leave", "join"]);
  });
});

describe("the last room", () => {
  test("is also one whose call could not begin, or whose partner was on the same page", () => {
    for (const failure of [
      { type: "call-setup-failed", roomId: "room-1", cause: "fault" },
      { type: "same-page-partner", roomId: "room-1", detected: true },
    ] as const) {
      const run = inLobby()
        .apply(createOffer("room-1"), failure)
        .apply({ type: "report", request: 1 });
      expect(run.commands).toMatchObject([
        { type: "enqueue", mutation: { name: "report", input: { roomId: "room-1" } } },
      ]);
    }
  });
});

describe("any sequence of inputs", () => {
  const inputs: SessionInput[] = [
    start,
    next,
    stop,
    disconnected,
    hungUp,
    opened,
    lobby,
    ...[idle, waiting, paired("room-1"), paired("room-2")].flatMap((state) => [
      session(state),
      resync(state),
    ]),
    ...["room-1", "room-2"].flatMap((roomId) => [
      createOffer(roomId),
      partnerGone(roomId, "lost"),
      partnerGone(roomId, "left"),
      event({ type: "partner-reconnecting", roomId, deadline: 9 }),
      { type: "same-page-partner", roomId, detected: true } as const,
    ]),
    { type: "call-connected" },
    { type: "call-interrupted", interrupted: true },
    { type: "call-failed" },
    { type: "call-setup-failed", roomId: "room-1", cause: "fault" },
    { type: "report", request: 1 },
    { type: "again", request: 2 },
    { type: "page-hide" },
    { type: "page-show" },
    { type: "resume" },
    { type: "stream-ended", error: takenOver },
    { type: "signal-refused", error: suspended },
    ...[0, 1, 2, 3].flatMap((key): SessionInput[] => [
      { type: "mutation-answered", key, accepted: true },
      { type: "mutation-refused", key, error: suspended },
      { type: "mutation-refused", key, error: challenged },
    ]),
    { type: "challenge-solved", solution: "17" },
    { type: "challenge-failed", cause: "fault" },
    { type: "close" },
  ];

  test("leaves the previous model unchanged, and keeps calls, queue and state consistent", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...inputs), { maxLength: 40 }), (sequence) => {
        let { model } = new Run();
        let liveCall: string | undefined;
        for (const input of sequence) {
          const before = structuredClone(model);
          const result = updateSession(model, input, { nowMs: 1, elapsedMs: 1 });
          expect(model).toEqual(before);
          model = result.model;
          for (const command of result.commands) {
            // A call ends before the next one begins.
            if (command.type === "begin-call") {
              expect(liveCall).toBeUndefined();
              liveCall = command.room.roomId;
              model = updateSession(model, begun(liveCall), { nowMs: 1, elapsedMs: 1 }).model;
            }
            if (command.type === "end-call") {
              expect(command.roomId).toBe(liveCall as string);
              liveCall = undefined;
            }
          }
          expect(model.call?.roomId).toBe(liveCall as string);
          const names = model.pending.map(({ mutation }) => mutation.name);
          expect(names.filter((name) => name === "skip").length).toBeLessThanOrEqual(1);
          if (!model.wanted) expect(deriveState(model).status).toBe("idle");
          // Nothing is solved for nothing.
          if (!model.wanted) expect(model.solving ?? model.solution).toBeUndefined();
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("the state says when the events arrive over HTTP, and nothing else of it changes", () => {
  const run = new Run().apply(start, opened, session(waiting), lobby);
  const over = run.state;
  const model = run.apply({ type: "transport-changed", kind: "http" });
  expect(model.state).toEqual({ ...over, transport: "http" } as never);
  expect(model.commands).toEqual([{ type: "hand-over-queues" }]);
  expect(model.apply({ type: "transport-changed", kind: "websocket" }).state).toEqual(over);
  expect(run.apply({ type: "transport-changed", kind: "http" }, stop).state).toEqual({
    status: "idle",
  });
});
