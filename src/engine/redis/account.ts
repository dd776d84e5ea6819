/**
 * Who was reported and who is suspended: every node keeps the same account, from the same words in the same
 * order. The words are a stream in Redis; what they come to is worked out by each node for itself.
 */
import {
  Moderation,
  type ModerationLimits,
  type Party,
  type Subject,
  type Suspension,
  type Verdict,
} from "../../domain/moderation.ts";

export type Word =
  | { kind: "report"; at: number; roomId: string; reporter: Party; reported: Party }
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
  /** The stream's key. */
  key: string;
  command: (...args: string[]) => Promise<unknown>;
  /** Tells all nodes that something was said. */
  announce: () => Promise<unknown>;
  /** What another node's word comes to: whoever it is about may be here. */
  onVerdict: (verdict: Verdict) => void;
}

export function createAccount({
  limits,
  key,
  command,
  announce,
  onVerdict,
}: AccountOptions): Account {
  const moderation = new Moderation(limits);
  const asked = new Map<string, (verdict: Verdict) => void>();
  let heardOf = "-";
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
          counted: true,
          suspended: [moderation.suspend(word.subject, word.until, word.at)],
        };
      case "lift":
        return { counted: moderation.lift(word.subject, word.at), suspended: [] };
    }
  }

  function sync() {
    syncing = syncing.catch(() => {}).then(readOn);
    return syncing;
  }

  return {
    sync,
    async say(word) {
      const trim = ["MAXLEN", "~", String(wordsMax)];
      const id = String(await command("XADD", key, ...trim, "*", "word", JSON.stringify(word)));
      const verdict = Promise.withResolvers<Verdict>();
      asked.set(id, verdict.resolve);
      try {
        await announce();
        await sync();
        return await verdict.promise;
      } finally {
        asked.delete(id);
      }
    },
    suspendedUntil: (party, now) => moderation.suspendedUntil(party, now),
    list: (now) => moderation.list(now),
  };
}
