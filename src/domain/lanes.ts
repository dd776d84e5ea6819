/**
 * Lanes: those whom the operator's hook or their conduct puts into one lane meet each other first, and others once either has waited for a
 * bound. A lane is a fact of a ticket that no peer can state, want or see. Sessions and their wishes do not have it, so that it is in
 * nothing that is sent.
 */
import type { Facts, FactValue } from "../protocol.ts";
import type { FactDimension } from "../protocol/declaration.ts";
import { laneByConduct } from "./conduct.ts";
import { requiredWants, type Want } from "./facts.ts";
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

/** The want of each lane, which is not among a ticket's own: those are ranked by, and all who are eligible meet this one. */
const wantOf = new Map<FactValue | undefined, Want>(
  lanes.map((lane) => [lane, { of: laneName, in: [lane, anyLane] }]),
);

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

/** The wishes of a ticket: those of its session, with its lane among the facts. */
export function inLane(
  wishes: Wishes,
  { lane, waitedMs }: { lane: number; waitedMs: number },
  { laneAfterMs = 0 }: RelaxSteps,
): Wishes {
  const fact = waitedMs < laneAfterMs ? String(lane) : anyLane;
  const facts = wishes.facts ? { ...wishes.facts, [laneName]: fact } : factOf.get(fact);
  return { ...wishes, facts };
}

/** The wants of a ticket that hold after `waitedMs`, with that of the lane that it states; `undefined`: none. */
export function requiredOfTicket(wishes: Wishes, waitedMs: number): readonly Want[] | undefined {
  const required = requiredWants(wishes, waitedMs);
  const want = wantOf.get(wishes.facts?.[laneName]);
  return want ? [...(required ?? []), want] : required;
}
