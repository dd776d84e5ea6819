/**
 * Lanes: those whom the operator's hook or their conduct puts into one lane meet each other first, and others once either has waited for a
 * bound. A lane is a fact of a ticket that no peer can state, want or see. Sessions and their wishes do not have it, so that it is in
 * nothing that is sent.
 */
import type { FactDimension, Facts } from "../protocol.ts";
import { laneByConduct } from "./conduct.ts";
import type { Want } from "./facts.ts";
import type { Session } from "./session.ts";
import type { RelaxSteps, Wishes } from "./ticket.ts";

/** There are so many lanes, numbered from 0. */
export const lanesMax = 8;

/** The dimension's name, which no declared one may have. */
export const laneName = "lane";

/** Of a ticket that has waited past the bound. */
const anyLane = "any";

const lanes = Array.from({ length: lanesMax }, (_, lane) => String(lane));

/** What engines with lanes are made with, beside the declared dimensions. */
export const laneDimension = {
  kind: "one",
  of: [...lanes, anyLane],
  by: "claims",
} as const satisfies FactDimension;

/** The want of each lane. It is never ranked by: all who are eligible meet it. */
const wantOf: readonly Want[] = lanes.map((lane) => ({ of: laneName, in: [lane, anyLane] }));

/** One object for all who state nothing else. */
const factOf = new Map<string, Facts>(laneDimension.of.map((lane) => [lane, { lane }]));

/** Whether it is the number of a lane. */
export const isLane = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) < lanesMax;

/** Whether tickets have lanes at all. */
export const hasLanes = ({ laneAfterMs = 0 }: RelaxSteps): boolean => laneAfterMs > 0;

/** The lane that the operator has named for the session, or else that of its conduct. */
export const laneOf = ({ wishes, conduct }: Pick<Session, "wishes" | "conduct">, now: number) =>
  wishes?.lane ?? laneByConduct(conduct, now);

/**
 * The wishes of a ticket with its lane among its facts, and the wants that hold with that of its lane.
 * @param required the wants that hold besides.
 */
export function inLane(
  wishes: Wishes,
  required: readonly Want[] | undefined,
  { lane, waitedMs }: { lane: number; waitedMs: number },
  { laneAfterMs = 0 }: RelaxSteps,
): { wishes: Wishes; required: readonly Want[] | undefined } {
  const isOver = waitedMs >= laneAfterMs;
  const fact = isOver ? anyLane : String(lane);
  const facts = wishes.facts ? { ...wishes.facts, [laneName]: fact } : factOf.get(fact);
  const want = isOver ? undefined : wantOf[lane];
  return {
    wishes: { ...wishes, facts },
    required: want ? [...(required ?? []), want] : required,
  };
}
