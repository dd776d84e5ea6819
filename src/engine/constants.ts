/** What all engines have in common besides the transitions. */

/** Tickets offered to the policy from the only term under which a ticket looks; half as many from each of several. */
export const eligibleMax = 4;
/** How long a session without a stream is remembered at least (milliseconds), so that cooldowns hold. */
export const retentionMsMin = 600_000;
/**
 * How long a session is remembered that has blocked another one or was blocked (milliseconds): as long as an unused token
 * is valid, so that the two do not meet again while both can come back.
 */
export const tokenLifeMs = 7 * 24 * 60 * 60 * 1000;
/** Lifecycle events that wait to be told, in a process or in one part of the lobby; past that the newest are lost. About 4 MB. */
export const lifecycleQueueMax = 10_000;
/** Decisions about reports and suspensions that are kept for an export; past that the oldest are dropped. */
export const decisionsKeptMax = 100_000;
/** Cases whose decision is kept; past that those that were decided the longest ago are forgotten. */
export const casesKeptMax = 100_000;
