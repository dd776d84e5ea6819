/**
 * Whatever peers do, in whatever order: the invariants of matching, tried with fast-check's model-based
 * commands through the use cases, on any engine. The model is only what the peers themselves could know.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { lobbyNamed } from "../../src/domain/lobby.ts";
import { retentionMsMin } from "../../src/engine/constants.ts";
import { readRoomId } from "../../src/domain/room-id.ts";
import type { RoomProof } from "../../src/domain/session.ts";
import { limits } from "../../src/protocol.ts";
import { acceptanceAfter, accepts, defaultWishes } from "../../src/domain/ticket.ts";
import { createDimensions, type Want } from "../../src/domain/facts.ts";
import { laneDimension, laneName } from "../../src/domain/lanes.ts";
import { dimensions } from "./facts-contract.ts";
import { offerNamed } from "./standby-contract.ts";
import { createWireSchema } from "./wire-schema.ts";
import {
  createWorld,
  type Asked,
  type OpenEngine,
  type Peer,
  type Told,
  type World,
} from "./world.ts";

const schema = createWireSchema();
const skipCooldownMs = 60_000;
const relaxAfterMs = 10_000;
const graceMs = 15_000;
const callKeepMs = 60_000;
const lobbies = ["main", "berlin"];
const laneAfterMs = 8000;
const dimensionsWithLanes = createDimensions({
  ...dimensions.declared,
  [laneName]: laneDimension,
});

interface Member {
  peer: Peer;
  /** Who avoids and is avoided: some peers are sessions of the same account. */
  person: string;
  present: boolean;
  /** Since when it is not. */
  awaySince: number;
  /** Until when its place is kept, where its partner has said that media flows. */
  keptUntil: number | undefined;
  /** The last proof of each room that it was sent, in the order of the rooms. */
  proofs: Map<string, RoomProof>;
  /** With which it waits for its partner, for a room that was lost. */
  presented: RoomProof | undefined;
  asked: Required<
    Pick<Asked, "mode" | "interests" | "languages" | "autoRejoin" | "facts" | "wants">
  > & {
    lobby: string;
    /** Absent: by conduct, as it has never joined. */
    lane?: number;
  };
  /** Since when it has waited, as far as that was known before the present command (milliseconds). */
  since: number | undefined;
  /** How many of the peer's events have been accounted for. */
  read: number;
  /** The description of the last offer that it has left with the ticket that it has. */
  standing: string | undefined;
  room: string | undefined;
}

interface Model {
  withLanes: boolean;
  members: Member[];
  /** `one>other` → until when one person avoids the other. */
  avoids: Map<string, number>;
  /** Room → the names of those who were told of it, with their role. */
  rooms: Map<string, Map<string, "polite" | "impolite">>;
  /** Room → how often each was told of its end. */
  ends: Map<string, number>;
  /** Room → when it has ended: not before the first time, nor after the second one. */
  ended: Map<string, [number, number]>;
  /** Rooms that have ended by a word of one of the two, and not by a loss. */
  closed: Set<string>;
  /** How many offers were left. */
  left: number;
  /** The descriptions of those that somebody was sent. */
  sent: Set<string>;
  /** Room → the names of those who ask to meet again whom they met there. */
  askedAgain: Map<string, Set<string>>;
  /** When the histories were last held against each other. */
  auditedAt: number;
}

/** The other member of a room that has ended. */
function partnerIn({ members, rooms }: Model, roomId: string, { peer }: Member) {
  const names = [...(rooms.get(roomId)?.keys() ?? [])];
  const other = names.find((name) => name !== peer.name);
  return members.find((member) => member.peer.name === other);
}

/** It asks no more to meet that one again, or anybody. */
function askNoMore(model: Model, member: Member, whom?: Member) {
  for (const [roomId, names] of model.askedAgain)
    if (!whom || partnerIn(model, roomId, member) === whom) names.delete(member.peer.name);
}

/** Whether both ask to meet again, and may: for certain, or possibly. */
function wantEachOther(model: Model, a: Member, b: Member, now: number, certainly: boolean) {
  if (a.asked.lobby !== b.asked.lobby) return false;
  const barredUntil = (one: Member, other: Member) =>
    model.avoids.get(key(one.person, other.person)) ?? 0;
  if (Math.max(barredUntil(a, b), barredUntil(b, a)) === Number.POSITIVE_INFINITY) return false;
  return [...model.askedAgain].some(([roomId, names]) => {
    const [earliest, latest] = model.ended.get(roomId) ?? [0, 0];
    const both = names.has(a.peer.name) && names.has(b.peer.name);
    return both && now < (certainly ? earliest : latest) + limits.againMs;
  });
}

type Command = fc.AsyncCommand<Model, World>;

const wordsOf = ({ asked: { interests, languages } }: Member) => ({ interests, languages });

/** The wants of one that the other does not meet, and which still hold after so much waiting: compared by names, without any bits. */
function unmet({ asked: { wants } }: Member, { asked: { facts } }: Member, waitedMs: number) {
  return (wants ?? []).filter(({ of, in: values, is, from, to, softAfterMs = Infinity }) => {
    const fact = facts?.[of];
    const isMet =
      fact !== undefined &&
      (values === undefined || [fact].flat().some((one) => values.includes(String(one)))) &&
      (is === undefined || fact === is) &&
      (from === undefined || Number(fact) >= from) &&
      (to === undefined || Number(fact) <= to);
    return !isMet && waitedMs < softAfterMs;
  });
}

/** Whether two may not meet because of their lanes, after so much waiting of each; `undefined`: that depends on their conduct. */
function areLanesApart(
  { withLanes }: Model,
  [one, other]: readonly [Member, Member],
  waitedMs: readonly [number, number],
): boolean | undefined {
  if (!withLanes || Math.max(...waitedMs) >= laneAfterMs) return false;
  const [own, its] = [one.asked.lane, other.asked.lane];
  return own === undefined || its === undefined ? undefined : own !== its;
}

const key = (one: string, other: string) => `${one}>${other}`;

/** From now on one avoids the other at least until then: two of their sessions may be in a room while others leave theirs. */
function avoid(
  { avoids }: Model,
  { person: one }: Member,
  { person: other }: Member,
  until: number,
) {
  avoids.set(key(one, other), Math.max(avoids.get(key(one, other)) ?? 0, until));
}

/** What the members of a room were told when it began. */
interface Beginning {
  mode: string;
  offer?: string | undefined;
  isStanding?: boolean;
}

/**
 * Of those who were paired whoever had left an offer makes it, and the other one was sent the last one that was left: once, and nobody else was. Who had
 * none was told of none.
 * @param firsts the first room of each since then: an offer is for that one alone.
 */
function checkOffers(
  model: Model,
  beginnings: ReadonlyMap<string, Beginning>,
  firsts: ReadonlyMap<Member, string>,
) {
  for (const [roomId, { mode, offer, isStanding = false }] of beginnings) {
    const roles = [...(model.rooms.get(roomId) ?? [])];
    if (roles.length < 2) continue;
    const owners = model.members.filter(
      (member) =>
        firsts.get(member) === roomId &&
        member.standing !== undefined &&
        // Two who meet again do so in the mode of their last room.
        member.asked.mode === mode,
    );
    const [impolite] = roles.flatMap(([name, role]) => (role === "impolite" ? [name] : []));
    const used = owners.find(({ peer }) => peer.name === impolite);
    expect({ roomId, offer, isStanding }).toEqual({
      roomId,
      offer: used?.standing,
      isStanding: owners.length > 0,
    });
    if (offer === undefined) continue;
    expect(model.sent.has(offer)).toBe(false);
    model.sent.add(offer);
  }
  for (const member of firsts.keys()) member.standing = undefined;
}

/** The proof that comes with the beginning of a room, and with each state in one. */
function proofIn(event: Told["event"]): RoomProof | undefined {
  const sealed =
    "proof" in event
      ? event.proof
      : "state" in event && "proof" in event.state && event.state.proof;
  return sealed ? (JSON.parse(sealed) as RoomProof) : undefined;
}

/**
 * A room that has ended exists again only where it was lost, for the same two, once both have presented its proof since and neither has taken that
 * back, and never for two of whom one has blocked the other.
 */
function checkRestored(model: Model, roomId: string, names: string[]) {
  expect({ roomId, names: names.toSorted() }).toEqual({
    roomId,
    names: [...(model.rooms.get(roomId)?.keys() ?? [])].sort(),
  });
  const members = model.members.filter(({ peer }) => names.includes(peer.name));
  const presented = members.map((member) => member.presented?.roomId);
  const isClosed = model.closed.has(roomId);
  expect({ roomId, isClosed, presented }).toEqual({
    roomId,
    isClosed: false,
    presented: [roomId, roomId],
  });
  const [one, other] = members as [Member, Member];
  expect(hasBlocked(model, one, other)).toBe(false);
  for (const member of members) member.presented = undefined;
  model.ended.delete(roomId);
  for (const name of names) model.ends.delete(key(roomId, name));
}

function hasBlocked({ avoids }: Model, { person: a }: Member, { person: b }: Member) {
  const until = [key(a, b), key(b, a)].map((both) => avoids.get(both) ?? 0);
  return Math.max(...until) === Number.POSITIVE_INFINITY;
}

/** Reads what everybody was told since, and holds every invariant. */
async function audit(model: Model, world: World) {
  const now = world.system.elapsed();
  const barred = ({ person: a }: Member, { person: b }: Member) =>
    a === b || Math.max(model.avoids.get(key(a, b)) ?? 0, model.avoids.get(key(b, a)) ?? 0) > now;

  const beginnings = new Map<string, Beginning>();
  const firsts = new Map<Member, string>();
  for (const member of model.members) {
    const { peer } = member;
    for (const { event } of peer.told.slice(member.read)) {
      // The token is added on the way to the socket.
      const sent = event.type === "session" ? { token: "", ...event } : event;
      expect(schema.faults("Event", sent)).toEqual([]);
      if (event.type === "create-offer" || event.type === "wait-for-offer") {
        const beginning = beginnings.get(event.roomId) ?? { mode: event.mode };
        if ("offer" in event) beginning.offer = event.offer.sdp;
        if ("standing" in event) beginning.isStanding = event.standing;
        beginnings.set(event.roomId, beginning);
        if (!firsts.has(member)) firsts.set(member, event.roomId);
        const room = model.rooms.get(event.roomId) ?? new Map();
        room.set(peer.name, event.polite ? "polite" : "impolite");
        model.rooms.set(event.roomId, room);
        member.room = event.roomId;
      }
      const proof = proofIn(event);
      if (proof) {
        member.proofs.delete(proof.roomId);
        member.proofs.set(proof.roomId, proof);
      }
      if (event.type === "partner-disconnected") {
        if (event.reason !== "lost") model.closed.add(event.roomId);
        const told = key(event.roomId, peer.name);
        model.ends.set(told, (model.ends.get(told) ?? 0) + 1);
        expect({ told, times: model.ends.get(told) }).toEqual({ told, times: 1 });
      }
    }
    member.read = peer.told.length;
  }
  checkOffers(model, beginnings, firsts);

  // Who is online in a lobby is who joined it last.
  for (const lobby of lobbies) {
    const stats = await world.engine.statsOf(lobbyNamed(lobby));
    const online = model.members.filter((one) => one.present && one.asked.lobby === lobby).length;
    expect({ lobby, ...stats }).toMatchObject({ lobby, online });
  }
  const waiting: { member: Member; since: number }[] = [];
  const inRoom = new Map<string, string[]>();
  for (const member of model.members) {
    const standing = await world.engine.status(member.peer.caller);
    if ("rejected" in standing) throw new Error("nobody was taken over");
    const offer = await world.engine.matchOptions(member.peer.caller.sessionId);
    // Who waits is not in a room.
    expect(standing.status === "paired" && offer !== undefined).toBe(false);
    if (standing.roomId !== undefined)
      inRoom.set(standing.roomId, [...(inRoom.get(standing.roomId) ?? []), member.peer.name]);
    if (offer) waiting.push({ member, since: offer.ticket.since });
  }
  // Nobody is in two rooms (a session has one), and a room has two different members, one of each role.
  for (const [roomId, names] of inRoom) {
    expect(new Set(names).size).toBe(2);
    const told = model.rooms.get(roomId);
    const absent = model.members.some(({ present, peer }) => !present && names.includes(peer.name));
    if (!absent) expect([...(told?.values() ?? [])].sort()).toEqual(["impolite", "polite"]);
  }
  for (const [roomId, names] of inRoom)
    if (model.ended.has(roomId)) checkRestored(model, roomId, names);
  for (const roomId of model.rooms.keys())
    if (!inRoom.has(roomId) && !model.ended.has(roomId))
      model.ended.set(roomId, [model.auditedAt, now]);
  for (const member of model.members)
    if (!member.present && now >= (member.keptUntil ?? member.awaySince + graceMs)) {
      askNoMore(model, member);
      member.presented = undefined;
    }
  // Nobody is free while somebody else is whom it wants to meet again, and who wants that, too.
  const free = model.members.filter(
    ({ present, peer }) => present && ![...inRoom.values()].flat().includes(peer.name),
  );
  for (const a of free)
    for (const b of free) {
      const apart = a !== b && wantEachOther(model, a, b, now, true);
      expect({ a: a.peer.name, b: b.peer.name, apart }).toMatchObject({ apart: false });
    }
  // Who drops keeps its ticket, and since when it waits.
  for (const member of model.members) if (member.present) member.since = undefined;
  for (const { member, since } of waiting) member.since = since;
  // Nobody waits while somebody fits both ways who waits as well. Tickets have the times of the engine's clock.
  const clock = world.engine.now();
  const steps = { languageAfterMs: relaxAfterMs / 2, anybodyAfterMs: relaxAfterMs };
  for (const [index, one] of waiting.entries())
    for (const other of waiting.slice(index + 1)) {
      const [a, b] = [one.member, other.member];
      if (a.asked.mode !== b.asked.mode || a.asked.lobby !== b.asked.lobby || barred(a, b))
        continue;
      const waitedMs = [clock - one.since, clock - other.since] as const;
      if (areLanesApart(model, [a, b], waitedMs) !== false) continue;
      if (unmet(a, b, clock - one.since).length + unmet(b, a, clock - other.since).length > 0)
        continue;
      const level = ({ member, since }: typeof one) =>
        acceptanceAfter({ ...defaultWishes, ...wordsOf(member) }, clock - since, steps).accepts;
      const share = (words: "interests" | "languages") =>
        a.asked[words].some((word) => b.asked[words].includes(word));
      const both = (wanted: "language" | "anybody") =>
        accepts(level(one), wanted) && accepts(level(other), wanted);
      const fit = share("interests") || (share("languages") && both("language")) || both("anybody");
      expect({ a: a.peer.name, b: b.peer.name, fit }).toMatchObject({ fit: false });
    }
}

/**
 * Nobody meets whom it avoids, is paired against a want of either that holds, with somebody in another lobby, or in another lane before the
 * bound: looked at for each room at the moment it is made. During a cooldown two do who have both asked for it within five minutes, and have not blocked each other.
 * @param since when each that waited before had begun to.
 */
function meetings(model: Model, world: World, before: Set<string>, since: Map<Member, number>) {
  const now = world.system.elapsed();
  const clock = world.engine.now();
  for (const [roomId, members] of model.rooms) {
    if (before.has(roomId)) continue;
    const [one, other] = [...members.keys()].map((name) =>
      model.members.find(({ peer }) => peer.name === name),
    );
    if (!one || !other) continue;
    const [a, b] = [one.person, other.person];
    expect(one.asked.lobby).toBe(other.asked.lobby);
    const isWanted = wantEachOther(model, one, other, model.auditedAt, false);
    const waited = (member: Member) => clock - (since.get(member) ?? clock);
    for (const [own, its] of [
      [one, other],
      [other, one],
    ] as const)
      if (!isWanted) expect(unmet(own, its, waited(own))).toEqual([]);
    const lanes = [one.asked.lane, other.asked.lane];
    const apart = !isWanted && areLanesApart(model, [one, other], [waited(one), waited(other)]);
    expect({ lanes, apart: apart === true }).toEqual({ lanes, apart: false });
    askNoMore(model, one, other);
    askNoMore(model, other, one);
    expect({ a, b, same: a === b }).toEqual({ a, b, same: false });
    const until = Math.max(model.avoids.get(key(a, b)) ?? 0, model.avoids.get(key(b, a)) ?? 0);
    const tooSoon = until > now && !isWanted;
    expect({ a, b, tooSoon }).toEqual({ a, b, tooSoon: false });
  }
  model.auditedAt = now;
}

function command(
  name: string,
  who: number,
  act: (member: Member, model: Model, world: World) => Promise<unknown>,
): Command {
  return {
    check: () => true,
    async run(model, world) {
      const member = model.members[who];
      if (!member) return;
      const before = new Set(model.rooms.keys());
      const startedAt = world.engine.now();
      const since = new Map(model.members.map((one) => [one, one.since ?? startedAt] as const));
      await act(member, model, world);
      await audit(model, world);
      meetings(model, world, before, since);
    },
    toString: () => `${name}(${who})`,
  };
}

/** The member's room and partner at this moment, if both are in it. */
async function roomOf(member: Member, model: Model, world: World) {
  const standing = await world.engine.status(member.peer.caller);
  if ("rejected" in standing || standing.roomId === undefined) return undefined;
  for (const other of model.members) {
    if (other === member) continue;
    const its = await world.engine.status(other.peer.caller);
    if ("roomId" in its && its.roomId === standing.roomId)
      return { roomId: standing.roomId, partner: other };
  }
  return undefined;
}

/** One member of a room that has ended asks to meet the other one again, or both do. */
async function askAgain(model: Model, roomId: string | undefined, member: Member, both: boolean) {
  const partner = roomId === undefined ? undefined : partnerIn(model, roomId, member);
  if (roomId === undefined || !partner) return;
  const names = model.askedAgain.get(roomId) ?? new Set();
  model.askedAgain.set(roomId, names);
  for (const { peer } of both ? [member, partner] : [member]) {
    const answer = await peer.again(roomId);
    if (answer !== "idle" && answer !== "waiting" && answer !== "paired") continue;
    names.add(peer.name);
    (peer === member.peer ? member : partner).presented = undefined;
  }
}

/** Whoever was away for so long that its session may be forgotten, with what it asked for, asks for it anew. */
async function comeBack(member: Member, world: World, options?: { lastEventId: undefined }) {
  const awayMs = member.present ? 0 : world.system.elapsed() - member.awaySince;
  member.present = true;
  member.keptUntil = undefined;
  await member.peer.comeBack(options);
  if (awayMs < retentionMsMin) return;
  // What the engine may remember no more is not asked of it.
  member.proofs.clear();
  await member.peer.join(member.asked);
}

/** Notes that the member ends its room by what it does, if that is what becomes of it. */
async function closing(member: Member, model: Model, world: World, act: () => Promise<unknown>) {
  const roomOfMember = async () => {
    const standing = await world.engine.status(member.peer.caller);
    return "roomId" in standing ? standing.roomId : undefined;
  };
  const before = await roomOfMember();
  await act();
  if (before !== undefined && (await roomOfMember()) !== before) model.closed.add(before);
}

/** A member says that media flows in a room of its own, by a proof of its own or its partner's, which is then worth nothing. */
async function sayConnected(
  member: Member,
  model: Model,
  world: World,
  isStolen: boolean,
  before: number,
) {
  const { engine, system } = world;
  const roomId = [...member.proofs.keys()].at(-1 - before);
  const partner = roomId === undefined ? undefined : partnerIn(model, roomId, member);
  const proof = (isStolen ? partner : member)?.proofs.get(roomId ?? "");
  const isExpired = ({ until }: RoomProof) => system.now() >= until;
  if (roomId === undefined || !partner || !proof || isExpired(proof)) return;
  const standing = await engine.status(member.peer.caller);
  const roomIdOf = async ({ peer }: Member) => {
    const its = await engine.status(peer.caller);
    return "roomId" in its ? its.roomId : undefined;
  };
  const [own, its] = [await roomIdOf(member), await roomIdOf(partner)];
  const answer = await engine.confirm(member.peer.caller, roomId, proof);
  await system.settled();
  const hasMedia = readRoomId(roomId).mode !== "text";
  if (own !== undefined || isStolen || !hasMedia || model.closed.has(roomId)) {
    // While it is in a room no other room is restored; its own room continues.
    expect(await engine.status(member.peer.caller)).toEqual(standing);
    if (own === roomId && !isStolen && hasMedia && !partner.present)
      partner.keptUntil = partner.awaySince + callKeepMs;
    return;
  }
  if (!member.present) return expect(answer).toMatchObject({ reason: "not-subscribed" });
  Object.assign(member, { presented: proof, standing: undefined });
  askNoMore(model, member);
  const { presented } = partner;
  const isAwaited = presented?.roomId === roomId && its === undefined && !isExpired(presented);
  const status = isAwaited && !hasBlocked(model, member, partner) ? "paired" : "idle";
  expect({ roomId, answer }).toMatchObject({ roomId, answer: { status } });
  if (status === "paired") expect(await roomIdOf(partner)).toBe(roomId);
}

/** A second stream that resumes from an earlier event: it is told all that came after that, in order, or `resync` and none of it. */
async function resumeBehind(peer: Peer, missed: number, { signaling, system }: World) {
  const { caller, told } = peer;
  const from = told[Math.max(0, told.length - 1 - missed)]?.id ?? "";
  const [epoch = "", offset = ""] = from.split(":");
  // A log that has begun anew since has no such position.
  if (!told.at(-1)?.id.startsWith(`${epoch}:`)) return;
  const known = new Map(told.map(({ id, event }) => [id, event]));
  const again: Told[] = [];
  const stream = signaling.events({
    known: caller,
    account: peer.account,
    newSessionId: "",
    graceMsMax: () => Number.POSITIVE_INFINITY,
    addressHash: `address of ${peer.name}`,
    lastEventId: from,
    onIdentified() {},
    deliver(delivery) {
      if (!("id" in delivery)) throw new Error("the stream has ended");
      const event = "json" in delivery ? JSON.parse(delivery.json) : delivery.event;
      again.push({ id: delivery.id, event });
    },
  });
  await system.settled();
  stream.close();
  await system.settled();
  const last = again.at(-1)?.event;
  if (last?.type === "resync")
    return expect(again.map(({ event }) => event.type)).toEqual(["session", "resync"]);
  expect(last).toMatchObject({ type: "session", resumed: true });
  const ids = again.map((_, index) => `${epoch}:${Number(offset) + 1 + index}`);
  expect(again.map(({ id }) => id)).toEqual(ids);
  for (const { id, event } of again)
    if (known.has(id)) expect(event).toEqual(known.get(id) as never);
}

/** What whoever has said `connected` does before its partner says it. */
const meanwhile = [
  "nothing",
  "nothing",
  "join",
  "skip",
  "leave",
  "ask again",
  "block",
  "drop",
] as const;

/**
 * The partner in a room is away for longer than the grace, perhaps the member as well, and both say that media flows once they are there:
 * the member first, perhaps from the lobby.
 */
async function loseAndRestore(
  member: Member,
  model: Model,
  world: World,
  { areBothAway, what }: { areBothAway: boolean; what: (typeof meanwhile)[number] },
) {
  const room = await roomOf(member, model, world);
  if (!room) return;
  const { roomId, partner } = room;
  const away = areBothAway ? [member, partner] : [partner];
  for (const one of away) await drop(one, world);
  await world.advance(graceMs);
  await audit(model, world);
  for (const one of away) await comeBack(one, world);
  if (!member.proofs.has(roomId) || [...member.proofs.keys()].at(-1) !== roomId) return;
  await sayConnected(member, model, world, false, 0);
  const { peer } = member;
  if (what === "join") await join(member, member.asked, world);
  else if (what === "skip") await skip(member, model, world);
  else if (what === "leave") await leave(member, model, world);
  else if (what === "ask again") await askAgain(model, roomId, member, false);
  else if (what === "drop") await drop(member, world);
  else if (what === "block") {
    avoid(model, member, partner, Number.POSITIVE_INFINITY);
    await world.signaling.block(peer.caller, roomId);
    await world.advance(0);
  }
  if ([...partner.proofs.keys()].at(-1) === roomId)
    await sayConnected(partner, model, world, false, 0);
}

async function drop(member: Member, world: World) {
  if (member.present)
    Object.assign(member, { awaySince: world.system.elapsed(), keptUntil: undefined });
  Object.assign(member, { present: false, standing: undefined });
  await member.peer.drop();
}

async function join(member: Member, asked: Member["asked"], world: World) {
  const standing = await world.engine.status(member.peer.caller);
  if (asked.mode !== member.asked.mode) member.standing = undefined;
  const answer = await member.peer.join(asked);
  if (answer === "waiting" || answer === "paired") member.presented = undefined;
  const took = "status" in standing && standing.status !== "paired";
  if (took && (answer === "waiting" || answer === "paired")) member.asked = asked;
  // In a room only the lobby of the next one.
  else if (answer === "paired") member.asked = { ...member.asked, lobby: asked.lobby };
}

async function skip(member: Member, model: Model, world: World) {
  const room = await roomOf(member, model, world);
  const now = world.system.elapsed();
  if (room && member.present) avoid(model, member, room.partner, now + skipCooldownMs);
  await closing(member, model, world, () => member.peer.skip(room?.roomId));
  if (member.present) member.presented = undefined;
}

async function leave(member: Member, model: Model, world: World) {
  askNoMore(model, member);
  Object.assign(member, { standing: undefined, presented: undefined });
  await closing(member, model, world, () => member.peer.leave());
}

/** What is stated and wanted, of few values, so that people meet. Both countries have the same bits. */
const facts = fc.record(
  {
    region: fc.constantFrom("eu", "us"),
    country: fc.constantFrom("country 0", "country 31"),
    age: fc.constantFrom(20, 21, 25),
    topics: fc.subarray(["jazz", "rock"]),
    adult: fc.boolean(),
  },
  { requiredKeys: [] },
);
const wanted = fc.constantFrom<Want>(
  { of: "region", in: ["eu"] },
  { of: "region", in: ["us", "asia"] },
  { of: "country", in: ["country 31"] },
  { of: "age", from: 21, to: 25 },
  { of: "age", to: 20 },
  { of: "topics", in: ["jazz"] },
  { of: "topics", in: ["rock", "go"] },
  { of: "adult", is: true },
);
const wants = fc.array(
  fc
    .tuple(wanted, fc.constantFrom(undefined, 4000, relaxAfterMs + 1))
    .map(([want, softAfterMs]) => (softAfterMs === undefined ? want : { ...want, softAfterMs })),
  { maxLength: 2 },
);

const whom = (peers: number) => fc.nat(peers - 1);
const words = (...choices: string[]) => fc.subarray(choices);

function commands(peers: number): fc.Arbitrary<Command>[] {
  const someone = whom(peers);
  return [
    fc
      .record({
        mode: fc.constantFrom("video", "video", "video", "text"),
        interests: words("jazz", "chess", "go"),
        languages: words("en", "de"),
        autoRejoin: fc.constantFrom(true, true, false),
        lobby: fc.constantFrom("main", "main", ...lobbies),
        lane: fc.constantFrom(0, 0, 0, 1),
        facts,
        wants,
      })
      .chain((asked) =>
        someone.map((who) =>
          command(`join ${JSON.stringify(asked)}`, who, (member, _, world) =>
            join(member, asked, world),
          ),
        ),
      ),
    someone.map((who) => command("skip", who, skip)),
    someone.map((who) =>
      command("both skip at once", who, async (member, model, world) => {
        const room = await roomOf(member, model, world);
        if (!room || !member.present || !room.partner.present) return;
        const until = world.system.elapsed() + skipCooldownMs;
        // Whose skip ends the room is open; either way the two avoid each other.
        avoid(model, member, room.partner, until);
        model.closed.add(room.roomId);
        await Promise.all([member.peer.skip(room.roomId), room.partner.peer.skip(room.roomId)]);
      }),
    ),
    // Twice, so that it comes up more often: only few orders of events lead to a meeting.
    ...[0, 1].map(() =>
      fc.tuple(someone, fc.constantFrom(0, 0, 0, 1, 2), fc.boolean()).map(([who, before, both]) =>
        command(
          `${both ? "both ask" : "ask"} again, ${before} rooms before`,
          who,
          (member, model) => {
            const { name } = member.peer;
            const own = [...model.ended.keys()].filter((room) => model.rooms.get(room)?.has(name));
            return askAgain(model, own.at(-1 - before), member, both);
          },
        ),
      ),
    ),
    ...[false, false, true].map((takenBack) =>
      someone.map((who) =>
        command(takenBack ? "take back" : "stand by", who, async (member, model, world) => {
          const { caller, name } = member.peer;
          const before = await world.engine.status(caller);
          const isWaiting = "status" in before && before.status === "waiting" && member.present;
          const kept = !takenBack && isWaiting && member.asked.mode !== "text";
          const offer = takenBack ? null : offerNamed(`${name} ${model.left}`);
          expect(await world.signaling.standby(caller, offer)).toEqual({ kept });
          model.left += 1;
          member.standing = kept ? offer?.sdp : undefined;
        }),
      ),
    ),
    // More often than others, as it takes both, after a loss.
    ...[false, false, true].map((isStolen) =>
      fc
        .tuple(someone, fc.constantFrom(0, 0, 1, 2))
        .map(([who, before]) =>
          command(
            `say connected in its room ${before} before, by ${isStolen ? "its partner's" : "its"} proof`,
            who,
            (member, model, world) => sayConnected(member, model, world, isStolen, before),
          ),
        ),
    ),
    // The same in a few steps, as chance alone hardly ever finds them.
    fc
      .tuple(someone, fc.record({ areBothAway: fc.boolean(), what: fc.constantFrom(...meanwhile) }))
      .map(([who, how]) =>
        command(`be lost and say connected ${JSON.stringify(how)}`, who, (member, model, world) =>
          loseAndRestore(member, model, world, how),
        ),
      ),
    someone.map((who) => command("leave", who, leave)),
    someone.map((who) =>
      command("failed", who, async (member, model, world) => {
        const room = await roomOf(member, model, world);
        if (!room) return;
        const until = world.system.elapsed() + skipCooldownMs;
        avoid(model, member, room.partner, until);
        await closing(member, model, world, async () => {
          await world.signaling.failed(member.peer.caller, room.roomId);
        });
        await world.advance(0);
      }),
    ),
    someone.map((who) =>
      command("block", who, async (member, model, world) => {
        const room = await roomOf(member, model, world);
        if (!room) return;
        avoid(model, member, room.partner, Number.POSITIVE_INFINITY);
        await closing(member, model, world, async () => {
          await world.signaling.block(member.peer.caller, room.roomId);
        });
        await world.advance(0);
      }),
    ),
    someone.map((who) => command("drop", who, (member, _, world) => drop(member, world))),
    someone.map((who) =>
      command("come back", who, async (member, _, world) => {
        if (!member.present) await comeBack(member, world);
      }),
    ),
    fc.tuple(someone, fc.nat(60)).map(([who, missed]) =>
      command(`resume ${missed} events behind`, who, async (member, _, world) => {
        if (member.present) await resumeBehind(member.peer, missed, world);
      }),
    ),
    someone.map((who) =>
      command("open a second tab", who, async (member, _, world) => {
        member.standing = undefined;
        await comeBack(member, world, { lastEventId: undefined });
      }),
    ),
    fc
      .constantFrom(100, 4000, relaxAfterMs, graceMs, skipCooldownMs, limits.againMs)
      .map((ms) => command(`${ms} ms pass`, 0, (_, __, world) => world.advance(ms))),
    // No time passes by that, and nothing may come of it.
    fc
      .constantFrom(-3_600_000, -60_000, 60_000, 86_400_000)
      .map((ms) =>
        command(`the wall clock is set by ${ms} ms`, 0, async (_, __, world) =>
          world.system.stepWallClock(ms),
        ),
      ),
  ];
}

/** The whole suite over one engine; `runs` sequences of up to 40 commands each. */
export function describeProperties(name: string, open: OpenEngine, runs: number) {
  const peers = 5;
  test(`${runs} random histories of ${peers} peers keep every invariant: ${name}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.commands(commands(peers), { maxCommands: 40, size: "max" }),
        fc.array(fc.constantFrom(undefined, undefined, "ann", "bob"), {
          minLength: peers,
          maxLength: peers,
        }),
        fc.boolean(),
        async (history, accounts, withLanes) => {
          const world = createWorld({
            open,
            skipCooldownMs,
            relaxAfterMs,
            graceMs,
            callKeepMs,
            skipBurst: 0,
            dimensions: withLanes ? dimensionsWithLanes : dimensions,
            ...(withLanes && { laneAfterMs }),
          });
          const names = ["Alice", "Bob", "Carol", "Dave", "Erin"].slice(0, peers);
          const members: Member[] = [];
          for (const [index, each] of names.entries())
            members.push({
              peer: await world.connect(each, accounts[index]),
              person: accounts[index] ?? each,
              present: true,
              awaySince: 0,
              keptUntil: undefined,
              proofs: new Map(),
              presented: undefined,
              asked: {
                mode: "video",
                interests: [],
                languages: [],
                autoRejoin: true,
                lobby: "main",
                facts: undefined,
                wants: undefined,
              },
              since: undefined,
              read: 0,
              standing: undefined,
              room: undefined,
            });
          const model: Model = {
            withLanes,
            members,
            avoids: new Map(),
            rooms: new Map(),
            ends: new Map(),
            ended: new Map(),
            closed: new Set(),
            left: 0,
            sent: new Set(),
            askedAgain: new Map(),
            auditedAt: world.system.elapsed(),
          };
          await fc.asyncModelRun(() => ({ model, real: world }), history);
          // Everybody goes; nothing stays behind.
          for (const { peer } of members) await peer.drop();
          await world.advance(callKeepMs);
          expect(await world.engine.stats()).toEqual({
            online: 0,
            waiting: { video: 0, audio: 0, text: 0 },
            rooms: { video: 0, audio: 0, text: 0 },
            lobbies: new Map(),
          });
          await world.advance(8 * 24 * 3_600_000);
          expect((await world.engine.sweep()).nextAt).toBeUndefined();
        },
      ),
      { numRuns: runs },
    );
  }, 1_200_000);
}
