/**
 * The engine that keeps everything in Redis, for many nodes with one lobby: no leader, no sticky sessions. A verb
 * reads the few sessions it concerns, works out what becomes of them, and commits that if nobody else was faster
 * (redis/commit.lua); a signal is one step (redis/send.lua). Each node has a lease; what one that is gone has left
 * behind, the others carry out, and one that was only asleep finds itself fenced off and begins anew.
 */
import type { Recovery } from "../domain/event-log.ts";
import type { Subject, Verdict } from "../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { WaitEstimator } from "../domain/wait-estimate";
import { accepts, type Ticket, type Wishes } from "../domain/ticket.ts";
import { limits, modes, type Mode, type Status } from "../protocol.ts";
import type { System } from "../system.ts";
import type {
  Attached,
  AttachRequest,
  Caller,
  Engine,
  EngineOptions,
  EndRequest,
  PairRequest,
  Reported,
  Stats,
  Stream,
} from "./engine.ts";
import {
  comesFrom,
  createMoves,
  isAsSeen,
  memberOf,
  partyOf,
  recorded,
  reporterOf,
  type RoomEnd,
} from "./moves.ts";
import { sharedAddressKey } from "./redis/address-key.ts";
import { createAccount, type Word } from "./redis/account.ts";
import type { RedisFault } from "./redis/faults.ts";
import { createInboxes } from "./redis/inboxes.ts";
import { RedisAway } from "./redis/link.ts";
import { keyPrefix } from "./redis/key-prefix.ts";
import { createNode, Fenced, isAway } from "./redis/node.ts";
import { scripts } from "./redis/scripts.ts";
import { createSocketCounts, type SocketCounts } from "./redis/socket-counts.ts";
import {
  changeOf,
  countsIn,
  draftOf,
  keptRoom,
  openUnit,
  tell,
  type Draft,
  type Looked,
  type Unit,
} from "./redis/unit.ts";

/** Tickets offered to the policy from the one place where a ticket looks; half as many from each of several. */
const candidatesMax = 4;
const answersMax = 256;
const answersKeptMs = 120_000;
/** How long a session without a connection is remembered at least, so that cooldowns and blocks hold. */
const retentionMsMin = 600_000;
/** As long as a token lives that is not used (seconds): so long a block holds. */
const tokenLifeS = 7 * 24 * 60 * 60;
/** So long after taking it a node that died leaves a deadline to the others (milliseconds). */
const dueClaimMs = 5000;
const dueMax = 100;
/** Whoever waits may have been left by a node that died before it looked for a partner: so many look again. */
const lookAgainMax = 1000;
/** A peer is asked to try again after this long when Redis is away (milliseconds). */
const retryAfterMs = 1000;
/** A stream that is to be attached again is there after this (milliseconds). */
const reattachMs = 500;
/** How often a commit is tried again because another one was faster. */
const triesMax = 50;

export interface RedisOptions {
  /** redis://[user:password@]host:port[/database], or rediss:// for TLS. */
  url: string;
  /** Before each key and channel, so that several sites can share one Redis. */
  prefix?: string;
  /** What anybody with access to Redis may know of this node; `doctor` reads it. */
  about?: string;
  /** Those of session tokens; the key of address hashes is kept under each of them. Without any there is none. */
  secrets?: readonly string[];
  /** How long a node that says nothing is believed to live (milliseconds). */
  leaseMs?: number;
  /** A command that takes longer has failed (milliseconds). */
  timeoutMs?: number;
  /** What deadlines go by (epoch milliseconds) instead of the clock of Redis: for tests on virtual time. */
  deadlineClock?: () => number;
  /** Real time, for leases and connections. */
  clock: Pick<System, "schedule" | "random" | "now" | "elapsed">;
  /** It is available again, or for the first time; and how. */
  onAvailable?: (how: string) => void;
  /** It is not available, for this reason; called again when the reason changes. */
  onAway?: (fault: RedisFault) => void;
  /** Told of a fault that no caller waits for. */
  onBug?: (error: unknown, where: string) => void;
}

export interface RedisEngine extends Engine {
  /** Resolves when Redis is at hand for the first time. */
  opened(): Promise<void>;
  /** What an address does on all nodes together. */
  readonly addresses: {
    /** What keys the hashes of addresses, the same on all nodes; `undefined` until Redis was reached. */
    key(): Buffer | undefined;
    admit: SocketCounts["admit"];
  };
  /** Resolves when this node has heard everything that was published before. */
  heard(): Promise<void>;
}

export function createRedisEngine(
  system: System,
  options: EngineOptions,
  {
    url,
    prefix: p = keyPrefix,
    about = "",
    secrets = [],
    leaseMs = 6000,
    timeoutMs = 800,
    deadlineClock,
    clock,
    onAvailable = () => {},
    onAway = () => {},
    onBug = () => {},
  }: RedisOptions,
): RedisEngine {
  const waits = {
    video: new WaitEstimator(),
    audio: new WaitEstimator(),
    text: new WaitEstimator(),
  };
  const inboxes = createInboxes(clock, timeoutMs);
  /** Streams that have ended while Redis was away. */
  const departed = new Set<Stream>();
  /** Tickets that should look for a partner at the next sweep. */
  const looking: string[] = [];
  let streamCount = 0;
  let lookAgain = false;
  let alarmAt = Number.POSITIVE_INFINITY;
  let ring: (at: number) => void = () => {};
  let tellEnded: (end: RoomEnd) => void = () => {};
  let addressKey: Buffer | undefined;
  const retentionS = Math.ceil(Math.max(retentionMsMin, options.skipCooldownMs) / 1000);

  /** The same on all nodes. */
  const now = () => node.now();

  const random36 = () => Math.floor(clock.random() * 2 ** 52).toString(36);

  function setAlarm(at: number) {
    if (at >= alarmAt) return;
    alarmAt = at;
    ring(at);
  }

  const node = createNode({
    url,
    prefix: p,
    about,
    leaseMs,
    timeoutMs,
    clock,
    now: deadlineClock,
    onPublished: hear,
    onBegun: () => inboxes.clear(),
    async onRising() {
      await account.sync();
      if (secrets.length === 0) return;
      addressKey = await sharedAddressKey(addressKey, secrets, {
        command: node.command,
        at: `${p}address-keys`,
        newId: system.id,
      });
    },
    onAvailable(why) {
      onAvailable(why);
      sockets.writeAll();
      // Whatever was published while nobody listened is in the logs, which can be read from now on.
      inboxes.distrust();
      for (const stream of departed) {
        departed.delete(stream);
        inBackground("a late goodbye", () => leave(stream));
      }
      inBackground("who waits", async () => {
        const { waiting } = await count();
        if (modes.some((mode) => waiting[mode] > 0)) lookAgainNow();
      });
    },
    onAway,
    onGone: (other, lastBeat) => inBackground("an inheritance", () => inherit(other, lastBeat)),
    onDue: (at) => setAlarm(Math.max(now(), at)),
  });

  const sockets = createSocketCounts({
    admit: (...args) => answering(() => node.run(scripts.admit, ...args)),
    command: node.command,
    key: () => `${p}sockets:${node.id}`,
  });

  const account = createAccount({
    limits: options.moderation,
    key: `${p}mod`,
    suspendedKey: `${p}suspended`,
    now,
    command: node.command,
    announce: () => node.command("PUBLISH", `${p}all`, "mod\n"),
    onVerdict(verdict) {
      if (node.available) inBackground("a suspension", () => putOutHere(verdict));
    },
  });

  /** Whoever waits may have missed its turn. */
  function lookAgainNow() {
    lookAgain = true;
    setAlarm(now());
  }

  /** Takes over what a node has left that is gone: its streams have closed when it was last heard of. */
  async function inherit(other: string, lastBeat: number) {
    // If Redis goes, the lock ends by itself, and the next beat finds the node still there.
    const lock = ["SET", `${p}heir:${other}`, node.id, "NX", "PX", String(dueClaimMs)];
    if ((await node.command(...lock)) === null) return;
    const sessions = `${p}ns:${other}`;
    const until = Math.max(now(), lastBeat + options.graceMs);
    for (;;) {
      const ids = (await node.command("SRANDMEMBER", sessions, "32")) as string[];
      if (ids.length === 0) break;
      await Promise.all(
        ids.map((id) =>
          work([id], undefined, (unit) => {
            const draft = unit.drafts.get(id);
            unit.commands.push(["SREM", sessions, id]);
            if (draft) close(draft, (stream) => stream.node !== other, until);
          }),
        ),
      );
      await node.command("PEXPIRE", `${p}heir:${other}`, String(dueClaimMs));
    }
    await node.command("ZREM", `${p}nodes`, other);
    lookAgainNow();
  }

  // -------------------------------------------------------------------------------------------
  // What is published

  function hear(first: string, rest: string) {
    if (first === "!") {
      const [sessionId = "", generation] = rest.split("\n");
      inboxes.takeOver(sessionId, Number(generation));
    } else if (first === "mod") inBackground("suspensions", account.sync);
    else if (first === "wait") {
      const [mode, waitedMs] = rest.split("\n");
      waits[mode as Mode].record(Number(waitedMs), now());
    } else inboxes.deliver(first, rest);
  }

  // -------------------------------------------------------------------------------------------
  // Units of work

  /** For what nobody waits for: that Redis is away is no news, anything else is a bug. */
  function inBackground(what: string, act: () => Promise<unknown>) {
    act().catch((error: unknown) => {
      if (!isAway(error)) onBug(error, what);
    });
  }

  async function count(): Promise<Stats> {
    return countsIn(((await node.run(scripts.look, "")) as Looked)[1]);
  }

  /** A verb's answer, or that Redis is away. */
  async function answering<T>(verb: () => Promise<T>): Promise<T | Rejection> {
    try {
      return await verb();
    } catch (error) {
      if (isAway(error)) return reject("unavailable", { retryAfterMs });
      throw error;
    }
  }

  interface Asking {
    /** Whose call this is: it is answered once all that has been told to that session has come here. */
    caller?: Caller;
    mutation?: { session: string; id: string } | undefined;
    due?: string[];
    /** Its own news are what the new stream begins with: nobody need wait for them. */
    attaching?: boolean;
  }

  /**
   * Reads sessions, lets `act` change the drafts, and commits; again if somebody else was faster. `undefined` from
   * `act` commits what it did; a rejection changes nothing.
   */
  async function work<T>(
    ids: string[],
    asking: Asking | undefined,
    act: (unit: Unit) => T | Rejection,
    committed: (unit: Unit, read: [number, string[]]) => void = () => {},
  ): Promise<T | Rejection> {
    const mutation = asking?.mutation;
    for (let tries = 0; tries < triesMax; tries++) {
      const looked = await node.run(scripts.look, mutation?.id ?? "", ...ids);
      const unit = openUnit(looked as Looked, asking?.due);
      const past = mutation && freshAnswer(unit.answered);
      if (past !== undefined) return inOrder(unit, asking, past as T);
      const answer = act(unit);
      if (isRejection(answer)) return inOrder(unit, asking, answer);
      const kept = mutation && recorded(answer as object);
      const change = changeOf(
        unit,
        p,
        mutation && kept && [mutation.session, mutation.id, JSON.stringify(kept)],
      );
      if (!change) return inOrder(unit, asking, answer);
      const outcome = await node.run(
        scripts.commit,
        String(now()),
        String(limits.logEventsMax),
        String(limits.logBytesMax),
        String(answersMax),
        JSON.stringify(change),
      );
      if (outcome === "carried out") return answer;
      if (outcome === "changed") continue;
      for (const end of unit.ended) tellEnded(end);
      const [last, missed, lasts] = outcome as [number, string[], [string, number][]];
      committed(unit, [last, missed]);
      if (asking?.attaching !== true)
        await Promise.all(lasts.map(([id, offset]) => inboxes.caughtUp(id, offset)));
      return missing(asking) ?? answer;
    }
    throw new RedisAway("everybody else was faster");
  }

  /** An answer that changes nothing still says how things are: what has made them so must not come after it. */
  async function inOrder<T>(
    unit: Unit,
    asking: Asking | undefined,
    answer: T,
  ): Promise<T | Rejection> {
    const draft = asking?.caller && unit.drafts.get(asking.caller.sessionId);
    if (draft) await inboxes.caughtUp(draft.id, Number(draft.kept["last"] ?? 0));
    return isRejection(answer) ? answer : (missing(asking) ?? answer);
  }

  /** The caller's stream is to be attached again: what it missed has yet to come. */
  function missing({ caller }: Asking = {}): Rejection | undefined {
    if (!caller?.streaming || inboxes.has(caller.sessionId)) return undefined;
    return reject("unavailable", { retryAfterMs: reattachMs });
  }

  function freshAnswer(kept: string | undefined): unknown {
    if (kept === undefined) return undefined;
    const [, at, json] = /^\d+ (\d+) (.*)$/.exec(kept) ?? [];
    return Number(at) + answersKeptMs > now() ? JSON.parse(json ?? "") : undefined;
  }

  /** Carries out a caller's verb on its session, once per mutation id. */
  function workFor<T extends object>(
    caller: Caller,
    unknown: T | Rejection,
    act: (draft: Draft, unit: Unit) => T | Rejection,
    others: string[] = [],
  ): Promise<T | Rejection> {
    const { sessionId, mutationId } = caller;
    const mutation = mutationId === undefined ? undefined : { session: sessionId, id: mutationId };
    return answering(() =>
      work<T>([sessionId, ...others], { mutation, caller }, (unit) => {
        const draft = known(unit, sessionId);
        if (!draft) return unknown;
        if (caller.generation < draft.generation) return reject("taken-over");
        return act(draft, unit);
      }),
    );
  }

  function known(unit: Unit, id: string): Draft | undefined {
    const draft = unit.drafts.get(id);
    return draft && draft.revision > 0 ? draft : undefined;
  }

  const moves = createMoves<Draft>(
    {
      now,
      // Every node's peers are told the same, and the clock of Redis is as good as any.
      told: (at) => at,

      tell(draft, event) {
        if (draft.epoch !== undefined) tell(draft, event);
      },

      stand(draft, widens) {
        const { unit, id, ticket } = draft;
        if (!ticket) return;
        draft.stands = standsOf(ticket);
        for (const key of draft.stands)
          unit.commands.push(["ZADD", key, String(ticket.queuedSince), id]);
        const { mode } = ticket.wishes;
        unit.commands.push(["ZADD", `${p}lobby:${mode}`, String(ticket.queuedSince), id]);
        unit.counts.waiting[mode] += 1;
        if (widens) putDue(unit, `widen\n${id}`, widens.at);
      },

      unstand(draft) {
        const { unit, id, ticket, stands } = draft;
        if (!ticket || !stands) return;
        for (const key of stands) unit.commands.push(["ZREM", key, id]);
        const { mode } = ticket.wishes;
        unit.commands.push(["ZREM", `${p}lobby:${mode}`, id]);
        unit.commands.push(["ZREM", `${p}due`, `widen\n${id}`]);
        unit.counts.waiting[mode] -= 1;
        draft.stands = undefined;
      },

      lobby({ unit }, mode) {
        const estimateMs = waits[mode].estimate(now());
        const counts = { waiting: unit.counts.waiting[mode], online: unit.counts.online };
        return estimateMs === undefined ? counts : { ...counts, estimateMs };
      },

      began(room, waitedMs) {
        const { commands } = room.polite.unit;
        commands.push(["HSET", `${p}r:${room.id}`, ...keptRoom(room)]);
        commands.push(["SADD", `${p}rooms:${room.mode}`, room.id]);
        commands.push(["PUBLISH", `${p}all`, `wait\n${room.mode}\n${waitedMs}`]);
      },

      ended({ id, mode, polite }, end) {
        polite.unit.ended.push(end);
        polite.unit.commands.push(["DEL", `${p}r:${id}`]);
        polite.unit.commands.push(["SREM", `${p}rooms:${mode}`, id]);
      },

      avoid(one, other, until) {
        const { commands } = one.unit;
        const key = `${p}v:${one.id}`;
        // The fraction keeps the order in which words were given in one millisecond: the first lapses first.
        const order = ((one.avoidances++ % 4096) + 1) / 4096;
        const till = Number.isFinite(until) ? String(until - 1 + order) : "+inf";
        commands.push(["ZADD", key, "GT", till, other.id]);
        commands.push(["ZREMRANGEBYRANK", key, "0", String(-options.avoidsMax - 1)]);
        if (Number.isFinite(until)) putDue(one.unit, `cool\n${one.id}\n${other.id}`, until);
        else one.blocks = true;
        // The key may be new, and its session gone.
        if (one.epoch === undefined) commands.push(["EXPIRE", key, String(tokenLifeS)]);
      },

      await(draft, until) {
        draft.grace = { at: until };
        putDue(draft.unit, `grace\n${draft.id}`, until);
      },

      awaitNoMore(draft) {
        if (draft.grace) draft.unit.commands.push(["ZREM", `${p}due`, `grace\n${draft.id}`]);
        draft.grace = undefined;
      },

      release(draft) {
        const { commands } = draft.unit;
        draft.epoch = undefined;
        commands.push(
          ["DEL", `${p}e:${draft.id}`],
          ["HDEL", `${p}s:${draft.id}`, "last", "dropped", "bytes"],
        );
        if (draft.blocks) {
          const { blockersMax, blockersPerAddressMax } = options.blocks;
          const bounds = [tokenLifeS, retentionS, blockersMax, blockersPerAddressMax].map(String);
          commands.push(["keep", draft.id, draft.addressHash ?? "", ...bounds]);
        } else
          for (const key of [`${p}s:${draft.id}`, `${p}v:${draft.id}`])
            commands.push(["EXPIRE", key, String(retentionS)]);
      },

      suspended,
    },
    options,
  );

  function putDue(unit: Unit, deadline: string, at: number) {
    unit.commands.push(["ZADD", `${p}due`, String(at), deadline]);
    setAlarm(at);
  }

  /** Where a ticket stands, and just as well where it looks. */
  function standsOf({ wishes, accepts: acceptance }: Ticket): string[] {
    const at = (kind: string, word: string) => `${p}i:${wishes.mode}:${kind}:${word}`;
    const stands = wishes.interests.map((word) => at("interest", word));
    if (accepts(acceptance, "language"))
      for (const word of wishes.languages) stands.push(at("language", word));
    if (accepts(acceptance, "anybody")) stands.push(at("anybody", ""));
    return stands;
  }

  // -------------------------------------------------------------------------------------------
  // Streams

  /** Drops streams but those that stay; without any left the session is absent. */
  function close(
    draft: Draft,
    stays: (stream: Draft["streams"][number]) => boolean,
    until: number,
  ) {
    if (draft.streams.every(stays)) return;
    const before = nodesOf(draft);
    draft.streams = draft.streams.filter(stays);
    leaveNodes(draft, before);
    if (draft.streams.length > 0) return;
    draft.unit.counts.online -= 1;
    draft.unit.commands.push(["SREM", `${p}online`, draft.id]);
    moves.depart(draft, until);
  }

  const nodesOf = ({ streams }: Draft) => new Set(streams.map((stream) => stream.node));

  function leaveNodes(draft: Draft, before: Set<string>) {
    const after = nodesOf(draft);
    for (const one of before)
      if (!after.has(one)) draft.unit.commands.push(["SREM", `${p}ns:${one}`, draft.id]);
  }

  async function leave(stream: Stream) {
    const { sessionId, streamId } = stream;
    try {
      await work([sessionId], undefined, (unit) => {
        const draft = known(unit, sessionId);
        if (draft) close(draft, ({ id }) => id !== streamId, now() + options.graceMs);
      });
    } catch (error) {
      if (error instanceof RedisAway) departed.add(stream);
      // A node that is fenced off has no streams to close: they are all known to be gone.
      else if (!(error instanceof Fenced)) throw error;
    }
  }

  async function readLog(stream: Stream, after: number) {
    const { sessionId, generation, epoch } = stream;
    for (;;) {
      // Until Redis is back there is nothing new; whoever reads is woken then.
      if (!node.available) return [];
      try {
        const log = await node.run(scripts.read, sessionId, String(after));
        const [epochNow, claimNow, dropped, events] = log as [
          string | null,
          string | null,
          number,
          string[],
        ];
        if (generation < Number(claimNow)) return reject("taken-over");
        if (epochNow !== epoch || after < dropped) return "behind";
        const read = events.map((json, index) => ({ offset: after + index + 1, json }));
        inboxes.catchUp(sessionId, after + read.length);
        if (read.length > 0) return read;
      } catch (error) {
        if (isAway(error)) return [];
        throw error;
      }
      const now = inboxes.read(stream, after);
      if (now) return now;
    }
  }

  // -------------------------------------------------------------------------------------------
  // Suspensions

  /** Says it to all nodes, and answers what it comes to. */
  async function say(word: Word): Promise<Verdict> {
    if (!node.available) throw new RedisAway("Redis is away");
    return account.say(word);
  }

  function suspended(draft: Draft): Rejection | undefined {
    const until = account.suspendedUntil(partyOf(draft), now());
    return until === undefined ? undefined : reject("suspended", { until });
  }

  /** Puts out whom the suspensions concern and who is here; who is nowhere, too, if it is known by its id. */
  async function putOut({ suspended }: Verdict, everywhere: boolean): Promise<string[]> {
    const newlyWaiting: string[] = [];
    for (const { subject } of suspended) {
      const isKnown = everywhere || inboxes.has(subject.id);
      const named = isKnown ? [subject.id] : [];
      for (const id of subject.kind === "address" ? inboxes.from(subject.id) : named) {
        const out = await work([id], undefined, (unit) => {
          const draft = known(unit, id);
          return draft ? moves.putOut(draft) : [];
        });
        if (!isRejection(out)) newlyWaiting.push(...out);
      }
    }
    return newlyWaiting;
  }

  /** Another node has said it: whoever enters the lobby by that looks for a partner at the next sweep. */
  async function putOutHere(verdict: Verdict) {
    const newlyWaiting = await putOut(verdict, false);
    looking.push(...newlyWaiting);
    if (newlyWaiting.length > 0) setAlarm(now());
  }

  // -------------------------------------------------------------------------------------------
  // What is due

  async function carryOut(deadline: string): Promise<string[]> {
    const [kind, id = "", other = ""] = deadline.split("\n");
    const due = [deadline];
    const newlyWaiting = await work(kind === "cool" ? [id, other] : [id], { due }, (unit) => {
      unit.commands.push(["ZREM", `${p}due`, deadline]);
      const draft = known(unit, id);
      if (!draft) return [];
      if (kind === "widen") {
        if (!draft.ticket) return [];
        moves.widen(draft);
        return [id];
      }
      if (kind === "grace") {
        if (!draft.grace || draft.grace.at > now() || draft.streams.length > 0) return [];
        return moves.lose(draft);
      }
      unit.commands.push(["ZREM", `${p}v:${id}`, other]);
      return draft.ticket && known(unit, other)?.ticket ? [id] : [];
    });
    return isRejection(newlyWaiting) ? [] : newlyWaiting;
  }

  const engine: RedisEngine = {
    attach(request: AttachRequest) {
      return answering<Attached | Rejection>(async () => {
        const { sessionId, position, addressHash } = request;
        const streamId = `${node.id}-${++streamCount}`;
        let epoch = "";
        let recovery: Recovery | "none" = "none";
        let generation = 0;
        let answer: Attached | undefined;
        const inbox = inboxes.open(sessionId, streamId, addressHash, request.wake);
        const on = node.id;
        try {
          const newlyWaiting = await work<string[]>(
            [sessionId],
            { attaching: true },
            (unit) => {
              let draft = unit.drafts.get(sessionId);
              if (!draft) {
                draft = draftOf(unit, sessionId, {});
                unit.drafts.set(sessionId, draft);
              }
              const living =
                draft.epoch?.endsWith(`-${node.era}`) === true ? draft.epoch : undefined;
              if (
                living !== undefined &&
                position?.epoch === living &&
                request.generation < draft.generation
              )
                return reject("taken-over");
              const key = `${p}s:${sessionId}`;
              unit.commands.push(["PERSIST", key], ["PERSIST", `${p}v:${sessionId}`]);
              comesFrom(draft, addressHash);
              const before = nodesOf(draft);
              const wasPresent = draft.streams.length > 0;
              const { last, dropped } = extent(draft, living);
              epoch = living ?? `${random36()}-${node.era}`;
              draft.epoch = epoch;
              recovery = !position
                ? "none"
                : position.epoch !== living
                  ? "other-epoch"
                  : position.offset > last
                    ? "future"
                    : position.offset < dropped
                      ? "too-old"
                      : "whole";
              if (recovery === "none" || recovery === "other-epoch") {
                draft.generation = Math.max(draft.generation, request.generation) + 1;
                draft.streams = [];
                for (const one of before)
                  unit.commands.push([
                    "PUBLISH",
                    `${p}n:${one}`,
                    `!\n${sessionId}\n${draft.generation}`,
                  ]);
              }
              generation = draft.generation;
              draft.streams = [...draft.streams, { id: streamId, node: on }];
              leaveNodes(draft, before);
              if (living === undefined)
                unit.commands.push(
                  ["DEL", `${p}e:${sessionId}`],
                  ["HDEL", key, "last", "dropped", "bytes"],
                );
              if (!wasPresent) {
                unit.counts.online += 1;
                unit.commands.push(["SADD", `${p}online`, sessionId]);
              }
              unit.commands.push(["SADD", `${p}ns:${on}`, sessionId]);
              unit.reads = [sessionId, recovery === "whole" && position ? position.offset : null];
              return moves.arrive(draft, wasPresent, recovery);
            },
            (unit, [last, events]) => {
              const isNew = unit.drafts.get(sessionId)?.kept["epoch"] !== epoch;
              const after = isNew ? 0 : last;
              const missed = events.map((json, index) => ({
                offset: (position?.offset ?? 0) + index + 1,
                json,
              }));
              const wasFollowing = inbox.epoch === epoch && inbox.tail !== undefined;
              Object.assign(inbox, { epoch, generation, addressHash });
              if (!wasFollowing) inboxes.follow(inbox, after);
              answer = {
                stream: { sessionId, generation, streamId, epoch, after },
                missed,
                recovered: recovery === "whole",
                newlyWaiting: [],
              };
            },
          );
          if (isRejection(newlyWaiting)) {
            inboxes.close(sessionId, streamId);
            return newlyWaiting;
          }
          if (!answer) throw new Error("an attachment is always committed");
          return { ...answer, newlyWaiting };
        } catch (error) {
          inboxes.close(sessionId, streamId);
          // It may have been done all the same, and then nobody would ever close it.
          departed.add({ sessionId, generation, streamId, epoch, after: 0 });
          throw error;
        }
      });
    },

    async detach(stream: Stream) {
      const { sessionId, streamId } = stream;
      if (inboxes.close(sessionId, streamId)) await leave(stream);
    },

    read(stream: Stream, after: number) {
      return inboxes.read(stream, after) ?? readLog(stream, after);
    },

    status(caller: Caller) {
      return answering(async () => {
        const unit = openUnit((await node.run(scripts.look, "", caller.sessionId)) as Looked);
        const draft = known(unit, caller.sessionId);
        if (!draft) return { status: "idle" as const };
        if (caller.generation < draft.generation) return reject("taken-over");
        const status = moves.statusOf(draft);
        return draft.room ? { status, roomId: draft.room.id } : { status };
      });
    },

    enqueue(caller: Caller, asked?: Wishes) {
      return workFor(caller, reject("not-subscribed"), (draft) => moves.enqueue(draft, asked));
    },

    async updateRecordedResult({ sessionId, mutationId = "" }: Caller, status: Status) {
      const key = `${p}a:${sessionId}`;
      await answering(async () => {
        const kept = await node.command("HGET", key, mutationId);
        const [, head, json] = /^(\d+ \d+ )(.*)$/.exec(String(kept)) ?? [];
        if (json === undefined) return;
        const amended = JSON.stringify({ ...JSON.parse(json), status });
        await node.command("HSET", key, mutationId, `${head}${amended}`);
      });
    },

    async matchOptions(sessionId: string) {
      const found = await answering(
        async () =>
          (await node.run(scripts.candidates, sessionId, String(now()), String(candidatesMax))) as [
            string,
            string,
            string | null,
          ][],
      );
      if (isRejection(found)) return undefined;
      const tickets = found.flatMap(([, revision, json]): Ticket[] =>
        json === null ? [] : [{ ...JSON.parse(json), revision: Number(revision) }],
      );
      const [ticket, ...candidates] = tickets;
      if (!ticket) return undefined;
      return { ticket, eligible: candidates.sort((a, b) => a.queuedSince - b.queuedSince) };
    },

    async pair(request: PairRequest) {
      const { impolite, polite } = request;
      if (impolite.sessionId === polite.sessionId) return false;
      const paired = await answering(async () => {
        const [one, other] = [impolite.sessionId, polite.sessionId];
        const avoids = (a: string, b: string) => node.command("ZSCORE", `${p}v:${a}`, b);
        // Whoever comes to avoid the other after this has another revision.
        const words = Promise.all([avoids(one, other), avoids(other, one)]);
        const barred = (await words).some((till) => till !== null && Number(till) > now());
        if (barred) return false;
        return work<boolean>([one, other], undefined, (unit) => {
          const [first, second] = [known(unit, one), known(unit, other)];
          if (!first || !second) return false;
          if (!isAsSeen(first, impolite) || !isAsSeen(second, polite)) return false;
          moves.pair(first, second, request);
          return true;
        });
      });
      return paired === true;
    },

    send(caller: Caller, roomId: string, signal: string | undefined) {
      return answering<boolean | Rejection>(async () => {
        const at = now();
        const outcome = await node.run(
          scripts.send,
          String(at),
          String(limits.logEventsMax),
          String(limits.logBytesMax),
          String(answersMax),
          caller.sessionId,
          String(caller.generation),
          roomId,
          signal ?? "",
          caller.mutationId ?? "",
          String(at - answersKeptMs),
        );
        if (outcome === "delivered") return true;
        if (outcome === "ended") return false;
        if (outcome === "taken-over") return reject("taken-over");
        if (outcome === "unknown") return reject("not-in-room");
        const ended = await workFor<{ delivered: boolean }>(
          caller,
          reject("not-in-room"),
          (draft) => (memberOf(draft, roomId) ? { delivered: false } : reject("not-in-room")),
        );
        return isRejection(ended) ? ended : ended.delivered;
      });
    },

    confirm(caller: Caller, roomId: string) {
      return workFor(caller, reject("not-in-room"), (draft) => moves.confirm(draft, roomId));
    },

    end(caller: Caller, request: EndRequest) {
      return workFor(caller, { status: "idle", newlyWaiting: [], known: false }, (draft) =>
        moves.end(draft, request),
      );
    },

    async avoid(caller: Caller, roomId: string) {
      const met = await metIn(caller, roomId);
      if (isRejection(met)) return met;
      return workFor<{ partnerId: string }>(
        caller,
        reject("not-in-room"),
        (draft, unit) => {
          if (moves.metIn(draft, roomId)?.partnerId !== met.id) return reject("not-in-room");
          moves.avoid(draft, unit.drafts.get(met.id) ?? draftOf(unit, met.id, {}), roomId);
          return { partnerId: met.id };
        },
        [met.id],
      );
    },

    async report(caller: Caller, roomId: string): Promise<Reported | Rejection> {
      const met = await metIn(caller, roomId);
      if (isRejection(met)) return met;
      return answering(async () => {
        const parties = { reporter: met.by, reported: met.party, earned: met.votes };
        const verdict = await say({ kind: "report", at: now(), roomId, ...parties });
        const newlyWaiting = await putOut(verdict, true);
        return { ...verdict, reported: met.party, newlyWaiting };
      });
    },

    suspend(subject: Subject, until: number) {
      return answering(async () => {
        const verdict = await say({ kind: "suspend", at: now(), subject, until });
        return { newlyWaiting: await putOut(verdict, true) };
      });
    },

    lift(subject: Subject) {
      return answering(async () => {
        const { counted } = await say({ kind: "lift", at: now(), subject });
        return counted;
      });
    },

    suspensions() {
      return account.list(now());
    },

    stats() {
      return answering(count);
    },

    available: () => node.available,

    now,

    onDeadline(listener) {
      ring = listener;
      if (Number.isFinite(alarmAt)) ring(alarmAt);
    },

    onEnded(listener) {
      tellEnded = listener;
    },

    async sweep() {
      const newlyWaiting = looking.splice(0);
      alarmAt = Number.POSITIVE_INFINITY;
      try {
        if (lookAgain) {
          lookAgain = false;
          for (const mode of modes) {
            const oldest = ["ZRANGE", `${p}lobby:${mode}`, "0", String(lookAgainMax - 1)];
            newlyWaiting.push(...((await node.command(...oldest)) as string[]));
          }
        }
        for (;;) {
          const taken = await node.run(
            scripts.take,
            String(now()),
            String(dueClaimMs),
            String(dueMax),
          );
          const [due, nextAt] = taken as [string[], string?];
          for (const tickets of await Promise.all(due.map(carryOut))) newlyWaiting.push(...tickets);
          if (due.length > 0) continue;
          if (nextAt === undefined) return { newlyWaiting };
          alarmAt = Math.min(alarmAt, Number(nextAt));
          return { newlyWaiting, nextAt: alarmAt };
        }
      } catch (error) {
        if (!isAway(error)) throw error;
        return { newlyWaiting, nextAt: now() + retryAfterMs };
      }
    },

    opened: node.ready,

    addresses: {
      key: () => addressKey,
      admit: sockets.admit,
    },

    async heard() {
      await node.ready();
      await node.heard();
    },

    async close() {
      node.close();
    },
  };

  /** From its first to its last kept offset. */
  function extent({ kept }: Draft, living: string | undefined): { last: number; dropped: number } {
    if (living === undefined) return { last: 0, dropped: 0 };
    return { last: Number(kept["last"] ?? 0), dropped: Number(kept["dropped"] ?? 0) };
  }

  /** Who else was in the caller's current or recent room. */
  async function metIn(caller: Caller, roomId: string) {
    return answering(async () => {
      const { sessionId } = caller;
      const unit = openUnit((await node.run(scripts.look, "", sessionId)) as Looked);
      const draft = known(unit, sessionId);
      if (draft && caller.generation < draft.generation) return reject("taken-over");
      const met = draft && moves.metIn(draft, roomId);
      if (!draft || !met) return reject("not-in-room");
      const id = met.partnerId;
      const also = openUnit((await node.run(scripts.look, "", id)) as Looked);
      const addressHash = also.drafts.get(id)?.addressHash;
      const party = { sessionId: id, addressHash };
      return { id, by: reporterOf(draft), party, votes: met.votes };
    });
  }

  return engine;
}
