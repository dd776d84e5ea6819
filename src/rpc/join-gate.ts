/**
 * What a peer has to do before it may join, by the operator's settings: agree to the rules, and solve a proof of work. What it has
 * passed holds for its session for a while, on all nodes and over reconnects.
 */
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import type { Marks } from "../engine/marks.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { Rules } from "../protocol.ts";
import type { AddressActivity } from "./address-activity.ts";
import type { AskedWishes } from "./admit.ts";
import type { ProofOfWork } from "./proof-of-work.ts";

/** How a connection has passed: by a proof of work, or as its address does nothing unusual. */
export interface Passed {
  readonly by: "work" | "trust";
  /** Until when (milliseconds of the monotonic clock). */
  readonly until: number;
}

/** The connection that a join comes from. */
export interface Entrant {
  readonly addressHash: string;
  passed: Passed | undefined;
}

export interface JoinGateParts {
  /** Absent: there are none. */
  rules?: Rules | undefined;
  /** Absent: nothing has to be solved. */
  work?:
    | {
        proof: ProofOfWork;
        /** How long a session is not asked again (milliseconds). */
        passMs: number;
        /** Who is asked; absent: everybody. */
        activity?: AddressActivity | undefined;
        marks: Marks;
        /** Epoch milliseconds. */
        now: () => number;
        /** The monotonic clock, in milliseconds. */
        elapsed: () => number;
      }
    | undefined;
}

type Work = NonNullable<JoinGateParts["work"]>;

/** The clocks of nodes may differ by so much (milliseconds): a used solution is remembered for longer. */
const clockErrorMs = 60_000;

export class JoinGate {
  readonly #work: Work | undefined;
  readonly #rules: Rules | undefined;
  readonly #disagreed: Rejection | undefined;

  constructor({ work, rules }: JoinGateParts) {
    this.#work = work;
    this.#rules = rules;
    if (rules?.required) {
      const { required: _, ...told } = rules;
      this.#disagreed = reject("challenge", { challenge: { kind: "rules", ...told } });
    }
  }

  /** Whether what a connection has passed lets it in without being asked again. */
  holds(entrant: Entrant): boolean {
    return !this.#work || holds(entrant, this.#work);
  }

  /** The wishes as they go on, without a solution that was meant for this gate; or what is still to be done. */
  pass(
    entrant: Entrant,
    sessionId: string,
    asked: AskedWishes,
  ): MaybePromise<AskedWishes | Rejection> {
    if (this.#disagreed && asked.agreed !== this.#rules?.version) return this.#disagreed;
    const work = this.#work;
    if (!work || holds(entrant, work)) return asked;
    return passWork(entrant, sessionId, asked, work);
  }
}

/** What was passed by trust does not hold for an address that is reported. */
const isEnough = ({ by }: Pick<Passed, "by">, { addressHash }: Entrant, { activity }: Work) =>
  by === "work" || (activity !== undefined && !activity.isReported(addressHash));

function holds(entrant: Entrant, work: Work): boolean {
  const { passed } = entrant;
  return passed !== undefined && passed.until > work.elapsed() && isEnough(passed, entrant, work);
}

async function passWork(
  entrant: Entrant,
  sessionId: string,
  asked: AskedWishes,
  work: Work,
): Promise<AskedWishes | Rejection> {
  const { proof, activity, marks } = work;
  const by = await marks.get(markOf(sessionId));
  if (isRejection(by)) return by;
  if ((by === "work" || by === "trust") && isEnough({ by }, entrant, work)) return asked;
  if (asked.solution !== undefined) {
    const spent = await spend(sessionId, asked.solution, work);
    if (isRejection(spent)) return spent;
    const { solution: _, ...others } = asked;
    if (spent) return remember(entrant, sessionId, "work", others, work);
  }
  const { addressHash } = entrant;
  if (activity && !activity.isReported(addressHash) && activity.takeSession(addressHash))
    return remember(entrant, sessionId, "trust", asked, work);
  return reject("challenge", { challenge: await proof.create(sessionId) });
}

/** Whether a solution is right, and has not been used before. */
async function spend(
  sessionId: string,
  solution: string,
  { proof, marks, now }: Work,
): Promise<boolean | Rejection> {
  const solved = await proof.verify(sessionId, solution);
  return (
    solved !== undefined && marks.claim(`used ${solved.id}`, solved.until - now() + clockErrorMs)
  );
}

async function remember(
  entrant: Entrant,
  sessionId: string,
  by: Passed["by"],
  asked: AskedWishes,
  { passMs, marks, elapsed }: Work,
): Promise<AskedWishes | Rejection> {
  entrant.passed = { by, until: elapsed() + passMs };
  return (await marks.set(markOf(sessionId), by, passMs)) ?? asked;
}

const markOf = (sessionId: string) => `passed ${sessionId}`;
