/** What several parts of the engine in Redis go by. */

/** Lifecycle events of a shard that wait to be told; past that the newest are lost. */
export const lifecycleMax = 100_000;
