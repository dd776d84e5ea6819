/**
 * Sessions as hashes in Redis, each with its room. Absent fields are not stored. What holds for all sessions of an account is in a hash of its
 * own, and is read and written along with each of them.
 */
import type { Dimensions } from "../../domain/facts.ts";
import type { FactValue } from "../../protocol.ts";
import {
  newSession,
  partnerIdOf,
  type PastRoom,
  type Room,
  type Session,
  type Standby,
  type WarningEvent,
  type RoomProof,
} from "../../domain/session.ts";
import type { Conduct } from "../../domain/conduct.ts";
import type { SkipPenalty } from "../../domain/skip-penalty.ts";
import type { Ticket, Wishes } from "../../domain/ticket.ts";
import type { Pairs } from "./scripts.ts";

/** A session as it is to become, and as it was read: nothing yet if that is empty. */
export interface SessionDraft extends StoredSession {
  readonly before: Fields;
  /** Entries in its log; 0 if that was not read. */
  readonly entries: number;
  /** What is appended to its log: see `withCounts`. */
  readonly events: string[];
  /** What becomes of its log, beside what is appended: see log.lua. */
  log: "begins" | "ends" | "renamed" | undefined;
  /** Whether a room of its own begins. */
  marks: boolean;
  /** The fields that it is to be stored in, once the commit is made. */
  after: StoredFields;
}

export type Fields = Readonly<Record<string, string>>;

/** The same as they are to become: `undefined` for those that are absent. */
export type StoredFields = Readonly<Record<string, string | undefined>>;

/**
 * The fields that are stored with the account, if there is one; scripts write its `version`, which is another one after each change. The
 * others are stored with the session. No two have the same name, so that both together describe a session.
 */
export const accountFields: ReadonlySet<string> = new Set([
  "networks",
  "rooms",
  "rejected",
  "penalty",
  "conduct",
  "intents",
  "warning",
  "avoidances",
]);

/** An open stream of a session, on whichever node. */
export interface RemoteStream {
  readonly id: string;
  readonly node: string;
}

/** Two fields: see fits.lua. */
export interface StoredFit {
  readonly fit: string;
  readonly stated: string | undefined;
}

/** A session with what the engine in Redis keeps of it besides its value. */
export interface StoredSession {
  value: Session;
  streams: readonly RemoteStream[];
  /** Of its log; absent once the grace has expired. */
  epoch: string | undefined;
  /** The keys of the terms under which its ticket is listed; absent while it is not. */
  terms: readonly string[] | undefined;
  /** What its ticket states and refuses, as it is listed; absent without any dimensions. */
  fit: StoredFit | undefined;
  /** How often it, or its account, has come to avoid another person. */
  avoidanceCount: number;
  /** Whether it has blocked another person: then it is kept for as long as its token is valid. Of one without an account. */
  blocks: boolean;
}

/** A hash as Redis replies with it. An empty field is one that has become absent: that costs less than to delete it. */
export function fieldsOf(pairs: Pairs): Fields {
  const fields: Record<string, string> = {};
  for (let index = 0; index < pairs.length; index += 2) {
    const value = pairs[index + 1];
    if (value) fields[pairs[index] ?? ""] = value;
  }
  return fields;
}

/** An empty hash is a session that does not exist. */
export function decodeSession(id: string, fields: Fields): StoredSession {
  const revision = Number(fields["revision"] ?? 0);
  const ticket = parse<Omit<Ticket, "revision" | "required">>(fields["ticket"]);
  const streams = parse<[string, string][]>(fields["streams"]) ?? [];
  return {
    value: {
      ...newSession(id, fields["address"], fields["account"]),
      revision,
      present: streams.length > 0,
      generation: Number(fields["generation"] ?? 0),
      ticket: ticket && { ...ticket, required: undefined, revision },
      room: parse<Room>(fields["room"]),
      standby: decodeStandby(fields["standby"]),
      wishes: parse<Wishes>(fields["wishes"]),
      queuedSince: number(fields["queued"]),
      recentRooms: parse<PastRoom[]>(fields["recent"]) ?? [],
      earlierNetworks: fields["networks"]?.split(" ") ?? [],
      roomCount: Number(fields["rooms"] ?? 0),
      roomsRejected: Number(fields["rejected"] ?? 0),
      skipPenalty: parse<SkipPenalty>(fields["penalty"]),
      conduct: parse<Conduct>(fields["conduct"]),
      intentsFullAt: Number(fields["intents"] ?? 0),
      warning: parse<WarningEvent>(fields["warning"]),
      graceUntil: number(fields["grace"]),
      keepUntil: number(fields["keep"]),
      presented: parse<RoomProof>(fields["presented"]),
      lostAt: number(fields["lost"]),
    },
    streams: streams.map(([stream, node]) => ({ id: stream, node })),
    epoch: fields["epoch"],
    terms: parse(fields["terms"]),
    fit: fields["fit"] === undefined ? undefined : { fit: fields["fit"], stated: fields["stated"] },
    avoidanceCount: Number(fields["avoidances"] ?? 0),
    blocks: fields["blocks"] === "1",
  };
}

/**
 * All fields that a session is stored in, `undefined` for those that are absent. The scripts write the others: `revision`, `answered`
 * (the number of recorded results), `place` (see fits.lua), and `name`, `dropped` and `mark` of its log (see log.lua; `mark` is the offset of the event that began its
 * room).
 */
export function encodeSession(stored: StoredSession): StoredFields {
  const { value, streams, terms } = stored;
  const { ticket, room, recentRooms, earlierNetworks } = value;
  // What it fits is stored as scripts need it, and follows from its wishes.
  const {
    revision: _,
    required: __,
    ...unversioned
  } = ticket ?? { revision: 0, required: undefined };
  const nodes = [...new Set(streams.map(({ node }) => node))];
  return {
    account: value.account,
    address: value.addressHash,
    generation: String(value.generation),
    streams: streams.length === 0 ? undefined : json(streams.map(({ id, node }) => [id, node])),
    nodes: nodes.length === 0 ? undefined : nodes.join(" "),
    epoch: stored.epoch,
    ticket: ticket && json(unversioned),
    terms: json(terms),
    fit: stored.fit?.fit,
    stated: stored.fit?.stated,
    room: json(room),
    in: room?.id,
    partner: room && partnerIdOf(value.id, room),
    standby: value.standby && encodeStandby(value.standby).join(" "),
    wishes: json(value.wishes),
    queued: text(value.queuedSince),
    recent: recentRooms.length === 0 ? undefined : json(recentRooms),
    networks: earlierNetworks.length === 0 ? undefined : earlierNetworks.join(" "),
    rooms: text(value.roomCount || undefined),
    rejected: text(value.roomsRejected || undefined),
    penalty: json(value.skipPenalty),
    conduct: json(value.conduct),
    intents: text(value.intentsFullAt || undefined),
    warning: json(value.warning),
    grace: text(value.graceUntil),
    keep: text(value.keepUntil),
    presented: json(value.presented),
    lost: text(value.lostAt),
    avoidances: text(stored.avoidanceCount || undefined),
    blocks: stored.blocks ? "1" : undefined,
  };
}

/** Bytes and address, which depart.lua reads as well. */
export const encodeStandby = ({ bytes, addressHash = "" }: Standby): [string, string] => [
  String(bytes),
  addressHash,
];

export function decodeStandby(field: string | undefined): Standby | undefined {
  const [, bytes, addressHash] = /^(\d+) (.*)$/.exec(field ?? "") ?? [];
  return bytes === undefined ? undefined : { bytes: Number(bytes), addressHash };
}

/** What a ticket states and refuses as scripts read it: see fits.lua. */
export function encodeFit(
  ticket: Ticket,
  dimensions: Dimensions | undefined,
): StoredFit | undefined {
  if (!dimensions) return undefined;
  const { wishes, required = [] } = ticket;
  const { mode, lobby = "" } = wishes;
  const { compared, layout } = dimensions;
  const pool = `${layout}:${mode}:${lobby}`;
  const facts: Record<string, FactValue> = {};
  for (const [name, fact] of Object.entries(wishes.facts ?? {}))
    if (compared.has(name)) facts[name] = fact;
  const untold = required.filter((want) => !dimensions.isTold(want));
  const isEmpty = untold.length === 0 && Object.keys(facts).length === 0;
  return {
    fit: `${untold.length > 0 ? "~" : "="}${dimensions.bitsOf(ticket).join(",")}, ${pool}`,
    stated: isEmpty ? undefined : JSON.stringify({ f: facts, w: untold }),
  };
}

const parse = <T>(text: string | undefined): T | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as T);
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const text = (value: number | undefined) => (value === undefined ? undefined : String(value));
const json = (value: unknown) => (value === undefined ? undefined : JSON.stringify(value));
