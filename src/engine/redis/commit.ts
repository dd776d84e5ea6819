/** What is to be committed, as commit.lua takes it, and what the sessions are afterwards. */
import type { Fields } from "./session-codec.ts";
import type { SessionDraft, Transaction } from "./transaction.ts";

/** What `commit.lua` carries out. */
export interface Commit {
  sessions: readonly SessionCommit[];
  /** Deadlines that this carries out. */
  due: readonly string[];
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

/** A commit as the arguments of commit.lua, after `ids`: each list after its length. */
export function commitArguments(ids: readonly string[], commit: Commit): string[] {
  const { sessions, due, reads, commands, looking } = commit;
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
export function fieldsAfter(transaction: Transaction, { sessions }: Commit): Map<string, Fields> {
  const all = new Map<string, Fields>();
  for (const { id, revision, changes, account } of sessions) {
    const fields: Record<string, string> = {};
    for (const [name, value] of Object.entries(transaction.getOrCreate(id).after))
      if (value !== undefined) fields[name] = value;
    fields["revision"] = String(Number(revision) + (changes ? 1 : 0));
    if (account) fields["version"] = String(Number(account.version) + (account.set.length ? 1 : 0));
    all.set(id, fields);
  }
  return all;
}
