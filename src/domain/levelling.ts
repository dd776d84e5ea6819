/**
 * Levelling: after a rolling deploy most peers are on the nodes that were replaced last. A node that has clearly more than the mean asks some
 * of its peers to reconnect, a bounded number a minute, until it has about as many as the others. If they come back to where they were,
 * as behind a proxy that keeps peers on a node, it stops.
 */
import { statusOf, type Session } from "./session.ts";

/** What a session does, in the order in which they are asked: from those who would notice it least. */
const activities = ["idle", "connected", "waiting"] as const;
export type Activity = (typeof activities)[number];

/** `undefined` for one that is left alone: it is absent, or is about to be connected with its partner. */
export function activityOf(session: Session | undefined): Activity | undefined {
  if (!session?.present) return undefined;
  const status = statusOf(session);
  if (status !== "paired") return status;
  return session.room?.state === "connected" ? "connected" : undefined;
}

/** The lower, the sooner it is asked. */
export const rankOf = (activity: Activity): number => activities.indexOf(activity);

export interface LevellingLimits {
  /** Peers that are asked in any minute at most. */
  perMinute: number;
  /**
   * How long a node must have clearly more than the mean before it asks, and no node have begun or ended (milliseconds): a deploy may still be
   * under way, or a node may begin again and again.
   */
  sustainedMs: number;
}

/** What a node knows at a moment. */
export interface Loads {
  /** By the monotonic clock (milliseconds). */
  now: number;
  /** Peers on this node, and on each other one that stays. */
  own: number;
  others: readonly number[];
  /** Names them all: another text once one begins or ends. */
  nodes: string;
  /** Peers that were asked and have not gone yet. */
  pending: number;
  /** Peers that have gone since the last time, and how many of these came back to this node. */
  gone: number;
  cameBack: number;
}

export interface Levelling {
  /** The nodes that were compared. */
  readonly among: string | undefined;
  /** Since when this node has clearly more than the mean of these, by the monotonic clock. */
  readonly overSince: number | undefined;
  readonly isActive: boolean;
  /** Those of the last minute, the oldest first. */
  readonly asked: readonly { readonly at: number; readonly count: number }[];
  /** Since it is active. */
  readonly gone: number;
  readonly cameBack: number;
  /** The nodes among which it is of no use. */
  readonly uselessAmong: string | undefined;
}

export const notLevelling: Levelling = {
  among: undefined,
  overSince: undefined,
  isActive: false,
  asked: [],
  gone: 0,
  cameBack: 0,
  uselessAmong: undefined,
};

const minuteMs = 60_000;
/** Of a proxy that chooses between two nodes half of them come back. All of so many do in one case of 256. */
const goneMin = 8;
const cameBackRatio = 0.9;

/**
 * Peers that a fair choice of nodes gives one more than the mean: their number is about Poisson's, with the root of the mean as its standard
 * deviation. Three of these are no chance, and one is left. In large sites the share counts: nobody is disturbed for one in a hundred.
 */
const beginsAbove = (mean: number) => Math.max(3 * Math.sqrt(mean), mean / 10);
const endsBelow = (mean: number) => Math.max(Math.sqrt(mean), mean / 50);

/** What is to be done now: at most so many peers are to be asked. `changed` when it begins, has ended or is of no use. */
export function level(
  last: Levelling,
  loads: Loads,
  { perMinute, sustainedMs }: LevellingLimits,
): { next: Levelling; ask: number; changed?: "begun" | "level" | "useless" } {
  const { now, own, others, nodes } = loads;
  const asked = last.asked.filter(({ at }) => now - at < minuteMs);
  const uselessAmong = last.uselessAmong === nodes ? nodes : undefined;
  const rests = { ...notLevelling, asked, uselessAmong, among: nodes };
  const before = last.among === nodes ? last : rests;
  const mean = others.reduce((sum, peers) => sum + peers, own) / (others.length + 1);
  const excess = own - mean;
  const isOver = excess > (before.isActive ? endsBelow(mean) : beginsAbove(mean));
  if (uselessAmong !== undefined || others.length === 0 || !isOver)
    return { next: rests, ask: 0, ...(last.isActive && { changed: "level" }) };

  const overSince = before.overSince ?? now;
  const isActive = before.isActive || now - overSince >= sustainedMs;
  const gone = before.isActive ? before.gone + loads.gone : 0;
  const cameBack = before.isActive ? before.cameBack + loads.cameBack : 0;
  const next = { among: nodes, overSince, isActive, asked, gone, cameBack, uselessAmong };
  if (!isActive) return { next, ask: 0, ...(last.isActive && { changed: "level" }) };
  if (gone >= goneMin && cameBack >= cameBackRatio * gone)
    return { next: { ...rests, uselessAmong: nodes }, ask: 0, changed: "useless" };
  const left = perMinute - asked.reduce((sum, { count }) => sum + count, 0);
  const wanted = Math.ceil(excess - endsBelow(mean)) - loads.pending;
  const ask = Math.max(0, Math.min(left, wanted, due(asked.at(-1)?.at, now, perMinute)));
  return { next, ask, ...(!before.isActive && { changed: "begun" }) };
}

/** Peers that may be asked so long after the last ones, that they are spread over the minute. */
function due(lastAt: number | undefined, now: number, perMinute: number): number {
  const sinceMs = lastAt === undefined ? Number.POSITIVE_INFINITY : now - lastAt;
  if (sinceMs * perMinute < minuteMs) return 0;
  return Math.max(1, Math.floor((perMinute * Math.min(sinceMs, 1000)) / minuteMs));
}

/** So many were asked. */
export const noteAsked = (before: Levelling, at: number, count: number): Levelling =>
  count === 0 ? before : { ...before, asked: [...before.asked, { at, count }] };
