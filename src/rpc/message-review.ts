/**
 * The operator's `message` hook: it sees each text before it is delivered, and lets it pass, changes or drops it. The texts of one peer are
 * delivered in the order in which they were sent, also when the hook answers out of order.
 */
import { isRejection, type Rejection } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import { RecordedResults } from "../domain/recorded-results.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import { isMessageText, type Delivered } from "../protocol.ts";
import type { Talk } from "../signaling/talk.ts";
import { callHook, isThenable, type HookParts } from "./hook-call.ts";
import type { Facts } from "./identity.ts";

/** A text on its way to the partner. */
export interface ReviewedMessage {
  readonly text: string;
  readonly roomId: string;
  /** The sender's, as `authenticate` gave it; absent for anonymous peers. */
  readonly account?: string | undefined;
  /** The id of the sender's session, as other hooks and logs have it. */
  readonly session: string;
  /** The sender's, as `authenticate` gave them; absent without any. */
  readonly facts?: Facts | undefined;
}

/**
 * Returns the text that is delivered, perhaps a changed one of at most 2000 characters; `undefined` drops it, and the sender is answered as
 * if its room were over. It may take 300 ms.
 */
export type MessageHook = (message: ReviewedMessage) => MaybePromise<string | undefined>;

/** What becomes of a text when the hook throws, takes too long or answers nonsense. */
export const messageFallbacks = ["drop", "deliver"] as const;
export type MessageFallback = (typeof messageFallbacks)[number];

/** How long the hook may take (milliseconds): a conversation must not seem to hang. */
const reviewMs = 300;

/**
 * Outcomes that are remembered on this node, of all peers together, so that the hook is asked once for each id. What is forgotten is asked
 * again; the engine still delivers it once.
 */
const outcomesMax = 10_000;

/** What became of a text, under the id of its mutation. */
interface Reviewed {
  readonly outcome: MaybePromise<Delivered | Rejection>;
  /** Refused or failed: the same id is sent again. */
  hasFailed: boolean;
}

export class MessageReview {
  readonly #hook: MessageHook;
  readonly #fallback: MessageFallback;
  readonly #talk: Talk;
  readonly #parts: HookParts & { elapsed: () => number };
  readonly #outcomes = new RecordedResults(outcomesMax);
  /** By session: settles when all that it has sent so far has gone. Absent while nothing is under way. */
  readonly #underway = new Map<string, Promise<unknown>>();

  constructor(
    { hook, fallback }: { hook: MessageHook; fallback: MessageFallback },
    talk: Talk,
    parts: HookParts & { elapsed: () => number },
  ) {
    this.#hook = hook;
    this.#fallback = fallback;
    this.#talk = talk;
    this.#parts = parts;
  }

  /** See `Talk.say`; once for each id. */
  say(caller: Caller, message: ReviewedMessage): MaybePromise<Delivered | Rejection> {
    const { mutationId, sessionId } = caller;
    if (mutationId === undefined) return this.#review(caller, message);
    const id = `${sessionId} ${mutationId}`;
    const now = this.#parts.elapsed();
    const before = this.#outcomes.get(id, now) as Reviewed | undefined;
    if (before && !before.hasFailed) return before.outcome;
    const outcome = this.#review(caller, message);
    const reviewed: Reviewed = { outcome, hasFailed: isRejection(outcome) };
    if (outcome instanceof Promise)
      outcome.then(
        (late) => void (reviewed.hasFailed = isRejection(late)),
        () => void (reviewed.hasFailed = true),
      );
    this.#outcomes.set(id, reviewed, now);
    return outcome;
  }

  /** Makes a call of a session after the texts that it has sent so far. */
  afterTexts<Result>(sessionId: string, call: () => MaybePromise<Result>): MaybePromise<Result> {
    const before = this.#underway.get(sessionId);
    return before ? before.then(call) : call();
  }

  #review(caller: Caller, message: ReviewedMessage): MaybePromise<Delivered | Rejection> {
    const { roomId, text } = message;
    // Nobody is asked about what would not be delivered anyway.
    const reviewing = chain(this.#talk.canSay(caller, roomId), (can) =>
      can === true ? this.#ask(message) : isRejection(can) ? can : { text },
    );
    return this.#inOrder(caller.sessionId, reviewing, (reviewed) => {
      if (isRejection(reviewed)) return reviewed;
      const json = reviewed.text === undefined ? undefined : JSON.stringify(reviewed.text);
      return this.#talk.say(caller, roomId, json);
    });
  }

  #ask(message: ReviewedMessage): MaybePromise<{ text: string | undefined }> {
    const fallback = { text: this.#fallback === "deliver" ? message.text : undefined };
    const ask = () => this.#hook(message);
    return callHook("message", ask, () => fallback, this.#parts, check, reviewMs);
  }

  /** Goes on with a value once it is there, and everything before it has gone on. */
  #inOrder<Value, Result>(
    sessionId: string,
    value: MaybePromise<Value>,
    proceed: (value: Value) => MaybePromise<Result>,
  ): MaybePromise<Result> {
    const before = this.#underway.get(sessionId);
    if (!before && !isThenable(value)) return proceed(value);
    const proceeding = (async () => {
      // Both, so that neither is left to reject unnoticed.
      const [there] = await Promise.all([value, before]);
      return proceed(there);
    })();
    const gone = proceeding.then(
      () => {},
      () => {},
    );
    this.#underway.set(sessionId, gone);
    void gone.then(() => {
      if (this.#underway.get(sessionId) === gone) this.#underway.delete(sessionId);
    });
    return proceeding;
  }
}

/** The error never contains the text, as it is logged. */
function check(answer: unknown): { text: string | undefined } {
  if (answer === undefined) return { text: undefined };
  if (typeof answer === "string" && isMessageText(answer)) return { text: answer };
  const what = typeof answer === "string" ? "a text that can't be sent" : typeof answer;
  throw new TypeError(`message must return a text or undefined, not ${what}`);
}
