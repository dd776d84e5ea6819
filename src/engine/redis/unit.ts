/**
 * One change to a few sessions: they are read as drafts, the moves work on those, and what has become different
 * is committed in one step, if nobody else was faster.
 */
import type { SkipPenalty } from "../../domain/skip-penalty";
import type { RoomState } from "../../domain/room.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import { modes, type LoggedEvent, type Mode } from "../../protocol.ts";
import type { Stats } from "../engine.ts";
import type { Member, PastRoom, Room, RoomEnd } from "../moves.ts";

/** A session as it was read, and as it is to become. */
export interface Draft extends Member<Draft> {
  readonly unit: Unit;
  /** Open streams on all nodes: each one's id and its node's. */
  streams: { id: string; node: string }[];
  /** Absent once the grace has ended. */
  epoch: string | undefined;
  /** Where its ticket stands in the lobby's index. */
  stands: string[] | undefined;
  grace: { at: number } | undefined;
  /** How often it has come to avoid somebody. */
  avoidances: number;
  /** Whether it has blocked somebody: then it is kept as long as its token lives. */
  blocks: boolean;
  /** What Redis holds of it: nothing yet if this is empty. */
  readonly kept: Fields;
}

type Fields = Readonly<Record<string, string>>;

/** What `commit.lua` carries out. */
export interface Change {
  /** Sessions and their revisions: if another commit was faster, nothing happens. */
  seen: [string, string][];
  /** Deadlines that this carries out: if another node was faster, nothing happens. */
  due: string[];
  commands: string[][];
  told: [string, string][];
  /** Session, mutation and recorded answer. */
  answer?: [string, string, string];
  /** Whose log to read, and after which offset if at all, before anything is told. */
  reads?: [string, number | null];
}

export interface Unit {
  readonly drafts: Map<string, Draft>;
  /** Counts of the whole lobby, with what this change adds. */
  readonly counts: Stats;
  /** The recorded answer of the mutation that asked, if there is one. */
  readonly answered: string | undefined;
  readonly due: string[];
  readonly commands: string[][];
  readonly told: [string, string][];
  reads: [string, number | null] | undefined;
  /** The states of rooms as they are kept. */
  readonly roomStates: Map<string, string>;
  /** Rooms that this ends. */
  readonly ended: RoomEnd[];
}

type Pairs = (string | null)[];
/** What `look.lua` answers. */
export type Looked = [string | null, number[], [string, Pairs][], [string, Pairs][]];

export function countsIn(counts: number[]): Stats {
  const [online = 0, ...byMode] = counts;
  const waiting = { video: 0, audio: 0, text: 0 };
  const rooms = { video: 0, audio: 0, text: 0 };
  for (const [index, mode] of modes.entries()) {
    waiting[mode] = byMode[2 * index] ?? 0;
    rooms[mode] = byMode[2 * index + 1] ?? 0;
  }
  return { online, waiting, rooms };
}

export function openUnit([answered, counts, sessions, rooms]: Looked, due: string[] = []): Unit {
  const unit: Unit = {
    drafts: new Map(),
    counts: countsIn(counts),
    answered: answered ?? undefined,
    due,
    commands: [],
    told: [],
    reads: undefined,
    roomStates: new Map(),
    ended: [],
  };
  for (const [id, pairs] of sessions) unit.drafts.set(id, draftOf(unit, id, fieldsOf(pairs)));
  for (const [id, pairs] of rooms) furnish(unit, id, fieldsOf(pairs));
  return unit;
}

function fieldsOf(pairs: Pairs): Fields {
  const fields: Record<string, string> = {};
  for (let index = 0; index < pairs.length; index += 2)
    fields[pairs[index] ?? ""] = pairs[index + 1] ?? "";
  return fields;
}

const parsed = <T>(json: string | undefined): T | undefined =>
  json === undefined ? undefined : (JSON.parse(json) as T);
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));

export function draftOf(unit: Unit, id: string, kept: Fields): Draft {
  const revision = Number(kept["revision"] ?? 0);
  const ticket = parsed<Omit<Ticket, "revision">>(kept["ticket"]);
  const grace = number(kept["grace"]);
  const recent = parsed<[string, string][]>(kept["recent"]);
  return {
    unit,
    id,
    kept,
    revision,
    addressHash: kept["address"] || undefined,
    generation: Number(kept["generation"] ?? 0),
    streams: parsed<[string, string][]>(kept["streams"])?.map(([id, node]) => ({ id, node })) ?? [],
    epoch: kept["epoch"],
    ticket: ticket && { ...ticket, revision },
    stands: parsed(kept["stands"]),
    room: undefined,
    wishes: parsed<Wishes>(kept["wishes"]),
    place: number(kept["place"]),
    recentRooms: recent && recentRoomsOf(recent, parsed(kept["marks"]) ?? {}),
    networksBefore: kept["networks"]?.split(" "),
    rooms: Number(kept["rooms"] ?? 0),
    aversions: Number(kept["aversions"] ?? 0),
    restraint: parsed<SkipPenalty>(kept["restraint"]),
    grace: grace === undefined ? undefined : { at: grace },
    goneSince: Number(kept["gone"] ?? 0),
    avoidances: Number(kept["avoidances"] ?? 0),
    blocks: kept["blocks"] === "1",
  };
}

/** Marks of recent rooms by their ids, `v` for one that votes and `a` for one that its member is averse to. */
type Marks = Record<string, string>;

function recentRoomsOf(recent: [string, string][], marks: Marks): Map<string, PastRoom> {
  return new Map(
    recent.map(([id, partnerId]) => {
      const mark = marks[id] ?? "";
      return [id, { partnerId, votes: mark.includes("v"), averse: mark.includes("a") }];
    }),
  );
}

/** Apart from the rooms themselves, which nodes of an earlier version read and write. */
function marksOf(rooms: Map<string, PastRoom>): Marks {
  const marks: Marks = {};
  for (const [id, { votes, averse }] of rooms)
    if (votes || averse) marks[id] = (votes ? "v" : "") + (averse ? "a" : "");
  return marks;
}

/** What is kept of a draft as it is now. */
function fieldsFor(draft: Draft): Record<string, string | undefined> {
  const { streams, ticket, stands, wishes, place, recentRooms, restraint, room } = draft;
  const { revision: _, ...unrevised } = ticket ?? { revision: 0 };
  const json = (value: unknown) => (value === undefined ? undefined : JSON.stringify(value));
  const partner = room && (room.polite === draft ? room.impolite : room.polite);
  return {
    address: draft.addressHash,
    generation: String(draft.generation),
    streams: streams.length === 0 ? undefined : json(streams.map(({ id, node }) => [id, node])),
    nodes:
      streams.length === 0 ? undefined : [...new Set(streams.map(({ node }) => node))].join(" "),
    epoch: draft.epoch,
    ticket: ticket && json(unrevised),
    stands: json(stands),
    room: room?.id,
    partner: partner?.id,
    wishes: json(wishes),
    place: place === undefined ? undefined : String(place),
    recent: recentRooms && json([...recentRooms].map(([id, { partnerId }]) => [id, partnerId])),
    marks: recentRooms && json(marksOf(recentRooms)),
    networks: draft.networksBefore?.join(" "),
    rooms: draft.rooms === 0 ? undefined : String(draft.rooms),
    aversions: draft.aversions === 0 ? undefined : String(draft.aversions),
    restraint: json(restraint),
    grace: draft.grace && String(draft.grace.at),
    gone: draft.goneSince === 0 ? undefined : String(draft.goneSince),
    avoidances: draft.avoidances === 0 ? undefined : String(draft.avoidances),
    blocks: draft.blocks ? "1" : undefined,
  };
}

/** Puts the two into their room, if both are known. */
function furnish(unit: Unit, id: string, kept: Fields) {
  const polite = unit.drafts.get(kept["polite"] ?? "");
  const impolite = unit.drafts.get(kept["impolite"] ?? "");
  if (!polite || !impolite) return;
  const room: Room<Draft> = {
    id,
    mode: kept["mode"] as Mode,
    polite,
    impolite,
    relayOnly: kept["relayOnly"] === "1",
    sharedInterests: parsed<string[]>(kept["shared"]) ?? [],
    since: Number(kept["since"]),
    state: kept["state"] as RoomState,
    politeConnected: kept["connected"]?.includes("p") === true,
    impoliteConnected: kept["connected"]?.includes("i") === true,
  };
  unit.roomStates.set(id, stateOf(room).join());
  polite.room = room;
  impolite.room = room;
}

/** What of a room changes while it lives: its state, and who has said that media flows. */
function stateOf(room: Room<Draft>): string[] {
  const connected = (room.politeConnected ? "p" : "") + (room.impoliteConnected ? "i" : "");
  return ["state", room.state, "connected", connected];
}

/** How a room is kept. */
export function keptRoom(room: Room<Draft>): string[] {
  return Object.entries({
    mode: room.mode,
    polite: room.polite.id,
    impolite: room.impolite.id,
    relayOnly: room.relayOnly ? "1" : "0",
    shared: JSON.stringify(room.sharedInterests),
    since: String(room.since),
    state: room.state,
  }).flat();
}

/** What is to be committed; `undefined` when nothing has become different. */
export function changeOf(
  unit: Unit,
  prefix: string,
  answer?: Change["answer"],
): Change | undefined {
  const commands: string[][] = [];
  const seen: Change["seen"] = [];
  const states = new Map<string, string[]>();
  for (const draft of unit.drafts.values()) {
    const changed = diff(draft);
    const exists = Object.keys(draft.kept).length > 0;
    // One that nobody knows is only looked for: no trace of it may be left.
    if (exists || changed.set.length > 0) seen.push([draft.id, draft.kept["revision"] ?? "0"]);
    const key = `${prefix}s:${draft.id}`;
    if (changed.set.length > 0) commands.push(["HSET", key, ...changed.set]);
    if (changed.unset.length > 0) commands.push(["HDEL", key, ...changed.unset]);
    if (draft.room) states.set(draft.room.id, stateOf(draft.room));
  }
  for (const [roomId, before] of unit.roomStates) {
    const state = states.get(roomId);
    if (state && state.join() !== before) commands.push(["HSET", `${prefix}r:${roomId}`, ...state]);
  }
  commands.push(...unit.commands);
  const isSame = commands.length === 0 && unit.told.length === 0 && unit.due.length === 0;
  if (isSame && !answer) return undefined;
  return {
    seen,
    due: unit.due,
    commands,
    told: unit.told,
    ...(answer && { answer }),
    ...(unit.reads && { reads: unit.reads }),
  };
}

function diff(draft: Draft): { set: string[]; unset: string[] } {
  const set: string[] = [];
  const unset: string[] = [];
  // Somebody who was only looked for stays unknown.
  if (Object.keys(draft.kept).length === 0 && draft.streams.length === 0) return { set, unset };
  for (const [name, value] of Object.entries(fieldsFor(draft))) {
    if (value === draft.kept[name]) continue;
    if (value === undefined) unset.push(name);
    else set.push(name, value);
  }
  return { set, unset };
}

export function tell(draft: Draft, event: LoggedEvent): void {
  draft.unit.told.push([draft.id, JSON.stringify(event)]);
}
