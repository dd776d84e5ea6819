/**
 * Who was reported and who is suspended: every node keeps the same account, from the same words in the same order. The
 * words are a bounded stream in Redis, and each node works out for itself what they come to. What strangers write can
 * push older words out of the stream, so the suspensions themselves are also kept in a hash, which a new node reads.
 */
import {
  Moderation,
  type ModerationLimits,
  type Party,
  type Report,
  type Subject,
  type Suspension,
  type Verdict,
} from "../../domain/moderation.ts";

export type Word =
  | ({ kind: "report"; at: number } & Report)
  | { kind: "suspend"; at: number; subject: Subject; until: number }
  | { kind: "lift"; at: number; subject: Subject };

/** Words kept; older ones count no more, or are too many. */
const wordsMax = 100_000;
const wordsAtOnce = 1000;

export interface Account {
  /** Reads what has been said since; one at a time. Rejects when Redis is away. */
  sync(): Promise<void>;
  /** Says it to all nodes, and answers what it comes to. */
  say(word: Word): Promise<Verdict>;
  suspendedUntil(party: Party, now: number): number | undefined;
  list(now: number): Suspension[];
}

export interface AccountOptions {
  limits: ModerationLimits;
  /** The stream's key, and that of the hash of suspensions. */
  key: string;
  suspendedKey: string;
  now: () => number;
  command: (...args: string[]) => Promise<unknown>;
  /** Tells all nodes that something was said. */
  announce: () => Promise<unknown>;
  /** What another node's word comes to: whoever it is about may be here. */
  onVerdict: (verdict: Verdict) => void;
}

const silent: Verdict = { first: false, counted: false, suspended: [] };
const fieldOf = ({ kind, id }: Subject) => `${kind} ${id}`;

export function createAccount({
  limits,
  key,
  suspendedKey,
  now,
  command,
  announce,
  onVerdict,
}: AccountOptions): Account {
  const moderation = new Moderation(limits);
  const asked = new Map<string, (verdict: Verdict) => void>();
  let heardOf = "-";
  let isRestored = false;
  let syncing: Promise<void> = Promise.resolve();

  async function readOn() {
    for (;;) {
      const range = ["XRANGE", key, heardOf, "+", "COUNT", String(wordsAtOnce)];
      const words = (await command(...range)) as [string, string[]][];
      for (const [id, [, json = ""]] of words) {
        heardOf = `(${id}`;
        const verdict = judge(JSON.parse(json) as Word);
        const ask = asked.get(id);
        if (ask) ask(verdict);
        else if (verdict.suspended.length > 0) onVerdict(verdict);
      }
      if (words.length < wordsAtOnce) return;
    }
  }

  function judge(word: Word): Verdict {
    switch (word.kind) {
      case "report":
        return moderation.report(word, word.at);
      case "suspend":
        return {
          ...silent,
          suspended: [moderation.suspend(word.subject, word.until, word.at)],
        };
      case "lift":
        return { ...silent, counted: moderation.lift(word.subject, word.at) };
    }
  }

  function sync() {
    syncing = syncing.catch(() => {}).then(readAll);
    return syncing;
  }

  async function readAll() {
    await readOn();
    if (!isRestored) await restore();
    isRestored = true;
  }

  /** Takes in the suspensions whose words are no longer in the stream, and sees to it that the hash holds the others. */
  async function restore() {
    const over: string[] = [];
    const kept = new Set<string>();
    for (const suspension of await keptOnes()) {
      const field = fieldOf(suspension.subject);
      if (suspension.until <= now()) over.push(field);
      else moderation.restore(suspension, now());
      kept.add(field);
    }
    if (over.length > 0) await command("HDEL", suspendedKey, ...over);
    await keep(moderation.list(now()).filter(({ subject }) => !kept.has(fieldOf(subject))));
  }

  async function keptOnes(): Promise<Suspension[]> {
    const all = (await command("HVALS", suspendedKey)) as string[];
    return all.map((json) => JSON.parse(json));
  }

  /** Keeps suspensions in the hash. One that is too many pushes out what is over, then the first to end of strangers' making. */
  async function keep(suspensions: readonly Suspension[]) {
    if (suspensions.length === 0) return;
    const fields = suspensions.flatMap((one) => [fieldOf(one.subject), JSON.stringify(one)]);
    await command("HSET", suspendedKey, ...fields);
    const excess = Number(await command("HLEN", suspendedKey)) - limits.recordsMax;
    if (excess <= 0) return;
    const rank = ({ until, by }: Suspension) => (until <= now() ? 0 : by === "reports" ? 1 : 2);
    const all = await keptOnes();
    const first = all.sort((a, b) => rank(a) - rank(b) || a.until - b.until).slice(0, excess);
    await command("HDEL", suspendedKey, ...first.map(({ subject }) => fieldOf(subject)));
  }

  async function say(word: Word): Promise<Verdict> {
    if (word.kind === "report") {
      // Only what counts is written: strangers can make as many other reports as they like.
      if (moderation.knows(word)) return silent;
      if (!moderation.canCount(word)) return moderation.report(word, word.at);
    }
    const trim = ["MAXLEN", "~", String(wordsMax)];
    const id = String(await command("XADD", key, ...trim, "*", "word", JSON.stringify(word)));
    const asking = Promise.withResolvers<Verdict>();
    asked.set(id, asking.resolve);
    try {
      await announce();
      await sync();
      const verdict = await asking.promise;
      if (word.kind === "lift") await command("HDEL", suspendedKey, fieldOf(word.subject));
      await keep(verdict.suspended);
      return verdict;
    } finally {
      asked.delete(id);
    }
  }

  return {
    sync,
    say,
    suspendedUntil: (party, now) => moderation.suspendedUntil(party, now),
    list: (now) => moderation.list(now),
  };
}
