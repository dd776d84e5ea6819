/** Sessions and rooms as hashes in Redis. Absent fields are not stored. */
import type { RoomState } from "../../domain/room.ts";
import {
  newSession,
  partnerIdOf,
  type PastRoom,
  type Room,
  type Session,
} from "../../domain/session.ts";
import type { SkipPenalty } from "../../domain/skip-penalty.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import type { Mode } from "../../protocol.ts";
import type { Pairs } from "./scripts.ts";

export type Fields = Readonly<Record<string, string>>;

/** An open stream of a session, on whichever node. */
export interface RemoteStream {
  readonly id: string;
  readonly node: string;
}

/** A session with what the engine in Redis keeps of it besides its value. */
export interface StoredSession {
  value: Session;
  streams: readonly RemoteStream[];
  /** Of its log; absent once the grace has expired. */
  epoch: string | undefined;
  /** The keys of the terms under which its ticket is listed; absent while it is not. */
  terms: readonly string[] | undefined;
  /** How often it has come to avoid another session. */
  avoidanceCount: number;
  /** Whether it has blocked another session: then it is kept for as long as its token is valid. */
  blocks: boolean;
}

export function fieldsOf(pairs: Pairs): Fields {
  const fields: Record<string, string> = {};
  for (let index = 0; index < pairs.length; index += 2)
    fields[pairs[index] ?? ""] = pairs[index + 1] ?? "";
  return fields;
}

/** `room` of the value is still missing: it is a hash of its own. An empty hash is a session that does not exist. */
export function decodeSession(id: string, fields: Fields): StoredSession {
  const revision = Number(fields["revision"] ?? 0);
  const ticket = parse<Omit<Ticket, "revision">>(fields["ticket"]);
  const streams = parse<[string, string][]>(fields["streams"]) ?? [];
  return {
    value: {
      ...newSession(id, fields["address"]),
      revision,
      present: streams.length > 0,
      generation: Number(fields["generation"] ?? 0),
      ticket: ticket && { ...ticket, revision },
      wishes: parse<Wishes>(fields["wishes"]),
      queuedSince: number(fields["queued"]),
      recentRooms: parse<PastRoom[]>(fields["recent"]) ?? [],
      earlierNetworks: fields["networks"]?.split(" ") ?? [],
      roomCount: Number(fields["rooms"] ?? 0),
      roomsRejected: Number(fields["rejected"] ?? 0),
      skipPenalty: parse<SkipPenalty>(fields["penalty"]),
      graceUntil: number(fields["grace"]),
      lostAt: number(fields["lost"]),
    },
    streams: streams.map(([stream, node]) => ({ id: stream, node })),
    epoch: fields["epoch"],
    terms: parse(fields["terms"]),
    avoidanceCount: Number(fields["avoidances"] ?? 0),
    blocks: fields["blocks"] === "1",
  };
}

/** All fields that a session is stored in, `undefined` for those that are absent. The scripts write `revision` and the log's. */
export function encodeSession(stored: StoredSession): Record<string, string | undefined> {
  const { value, streams, terms } = stored;
  const { ticket, room, recentRooms, earlierNetworks } = value;
  const { revision: _, ...unversioned } = ticket ?? { revision: 0 };
  const nodes = [...new Set(streams.map(({ node }) => node))];
  return {
    address: value.addressHash,
    generation: String(value.generation),
    streams: streams.length === 0 ? undefined : json(streams.map(({ id, node }) => [id, node])),
    nodes: nodes.length === 0 ? undefined : nodes.join(" "),
    epoch: stored.epoch,
    ticket: ticket && json(unversioned),
    terms: json(terms),
    room: room?.id,
    partner: room && partnerIdOf(value.id, room),
    wishes: json(value.wishes),
    queued: text(value.queuedSince),
    recent: recentRooms.length === 0 ? undefined : json(recentRooms),
    networks: earlierNetworks.length === 0 ? undefined : earlierNetworks.join(" "),
    rooms: text(value.roomCount || undefined),
    rejected: text(value.roomsRejected || undefined),
    penalty: json(value.skipPenalty),
    grace: text(value.graceUntil),
    lost: text(value.lostAt),
    avoidances: text(stored.avoidanceCount || undefined),
    blocks: stored.blocks ? "1" : undefined,
  };
}

export function decodeRoom(id: string, fields: Fields): Room {
  return {
    id,
    mode: fields["mode"] as Mode,
    politeId: fields["polite"] ?? "",
    impoliteId: fields["impolite"] ?? "",
    relayOnly: fields["relayOnly"] === "1",
    sharedInterests: parse<string[]>(fields["shared"]) ?? [],
    since: Number(fields["since"]),
    state: fields["state"] as RoomState,
    politeConnected: fields["connected"]?.includes("p") === true,
    impoliteConnected: fields["connected"]?.includes("i") === true,
  };
}

/** Fields and values, in turn. */
export function encodeRoom(room: Room): string[] {
  const fields = {
    mode: room.mode,
    polite: room.politeId,
    impolite: room.impoliteId,
    relayOnly: room.relayOnly ? "1" : "0",
    shared: JSON.stringify(room.sharedInterests),
    since: String(room.since),
  };
  return [...Object.entries(fields).flat(), ...encodeRoomState(room)];
}

/** What of a room changes while it exists. */
export function encodeRoomState(room: Room): string[] {
  const connected = (room.politeConnected ? "p" : "") + (room.impoliteConnected ? "i" : "");
  return ["state", room.state, "connected", connected];
}

const parse = <T>(text: string | undefined): T | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as T);
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const text = (value: number | undefined) => (value === undefined ? undefined : String(value));
const json = (value: unknown) => (value === undefined ? undefined : JSON.stringify(value));
