/** What is to be committed, as commit.lua takes it, and what the sessions are afterwards. */
import type { StandbyLimits } from "../engine.ts";
import {
  accountFields,
  decodeStandby,
  encodeStandby,
  type Fields,
  type SessionDraft,
} from "./session-codec.ts";

/** What `commit.lua` carries out. */
export interface Commit {
  sessions: readonly SessionCommit[];
  /** Deadlines that this carries out. */
  due: readonly string[];
  /** Two persons, and two more for each further pair, between whom there must be no block. */
  unblocked: readonly string[];
  /** A standing offer that is to be kept, as `standingArguments`; or nothing. */
  standing: readonly string[];
  commands: readonly (readonly string[])[];
  /** Tickets whose options are to be returned. */
  looking: readonly Looking[];
  result: RecordedMutation | undefined;
  reads: LogRead | undefined;
}

export interface Looking {
  id: string;
  /** Whose it is. */
  person: string;
  /** The keys of the terms that it is listed under. */
  terms: readonly string[];
  /** What it states and refuses: see fits.lua. */
  fit: string | undefined;
}

export interface SessionCommit {
  id: string;
  /** At which it was read. */
  revision: string;
  /** Whether it has another revision afterwards. */
  changes: boolean;
  /** Fields and values, in turn; empty for those that become absent. */
  set: string[];
  /** The nodes with streams of it from now on, if they are others. */
  holders: string | undefined;
  log: SessionDraft["log"];
  marks: boolean;
  entries: readonly string[];
  /** Its account, at which version that was read, and what becomes of it: see `accountFields`. */
  account: { name: string; version: string; set: string[] } | undefined;
}

export type RecordedMutation = [sessionId: string, mutationId: string, result: string];

/** A log to read before any event is appended; `null`: only its last offset. */
export type LogRead = [sessionId: string, after: number | null];

/** Whose it is, the offer as JSON, and what it counts for, what the one before has counted for, and the bounds: see standing_offers.lua. */
export function standingArguments(
  { before, value }: SessionDraft,
  json: string,
  { bytesMax, bytesPerAddressMax }: StandbyLimits,
): string[] {
  if (!value.standby) return [];
  const [bytes, address] = encodeStandby(value.standby);
  const [bytesBefore, addressBefore] = encodeStandby(
    decodeStandby(before["standby"]) ?? { bytes: 0, addressHash: undefined },
  );
  const bounds = [String(bytesMax), String(bytesPerAddressMax)];
  return [value.id, json, address, bytes, addressBefore, bytesBefore, ...bounds];
}

/** A commit as the arguments of commit.lua, after `ids`: each list after its length. */
export function commitArguments(ids: readonly string[], commit: Commit): string[] {
  const { sessions, due, unblocked, standing, reads, commands, looking } = commit;
  const args: string[] = [];
  const putList = (list: readonly string[]) => void args.push(String(list.length), ...list);
  putList(ids);
  args.push(String(sessions.length));
  for (const one of sessions) {
    const { id, revision, log = "", changes, marks, holders, set, entries, account } = one;
    const flags = (changes ? "c" : "") + (marks ? "m" : "") + (holders === undefined ? "" : "h");
    args.push(id, revision, log, account ? `${flags}a` : flags, holders ?? "");
    putList(set);
    putList(entries);
    if (!account) continue;
    args.push(account.name, account.version);
    putList(account.set);
  }
  putList(due);
  putList(unblocked);
  putList(standing);
  args.push(reads?.[0] ?? "", String(reads?.[1] ?? ""));
  args.push(String(commands.length));
  for (const command of commands) putList(command);
  args.push(String(looking.length));
  for (const { id, person, terms, fit } of looking) {
    args.push(id, person, fit ?? "");
    putList(terms);
  }
  return args;
}

/** The fields of sessions after a commit, by their ids, but for those that only scripts use. */
export function fieldsAfter(
  draftOf: (id: string) => SessionDraft,
  { sessions }: Commit,
): Map<string, Fields> {
  const all = new Map<string, Fields>();
  for (const { id, revision, changes, account } of sessions) {
    const fields: Record<string, string> = {};
    for (const [name, value] of Object.entries(draftOf(id).after))
      if (value !== undefined) fields[name] = value;
    fields["revision"] = String(Number(revision) + (changes ? 1 : 0));
    if (account) fields["version"] = String(Number(account.version) + (account.set.length ? 1 : 0));
    all.set(id, fields);
  }
  return all;
}

/** The part of a commit that one session has; of one that does not exist, and was only looked up, there is none. */
export function toSessionCommit(draft: SessionDraft): SessionCommit | undefined {
  const { before, after, events, log, marks, streams } = draft;
  const exists = Object.keys(before).length > 0;
  // A session that does not exist, and gets no stream, is not created.
  if (!exists && streams.length === 0) return undefined;
  const { account: name } = draft.value;
  const account = name === undefined ? undefined : { name, version: versionOf(before), set: [] };
  const set: string[] = [];
  for (const [field, value] of Object.entries(after)) {
    if (value === before[field]) continue;
    const into: string[] = account && accountFields.has(field) ? account.set : set;
    into.push(field, value ?? "");
  }
  // It was a copy that another shard had made, until it got a stream.
  if (before["copied"] !== undefined && streams.length > 0) set.push("copied", "");
  const changes = set.length > 0;
  const isElsewhere = after["nodes"] !== before["nodes"];
  return {
    id: draft.value.id,
    revision: before["revision"] ?? "0",
    changes,
    set,
    holders: isElsewhere ? (after["nodes"] ?? "") : undefined,
    log,
    marks,
    entries: events,
    account,
  };
}

const versionOf = (fields: Fields) => fields["version"] ?? "0";
