/** How many nodes and Redis processes a lobby needs, from what one signal and one pairing cost: a calculation, no measurement. */

/** Bytes of one peer. */
export interface Weight {
  redis: number;
  node: number;
}

/** What was measured: `bun test/bench/nodes.ts --json=FILE` and `memory.ts` write it. CPU in microseconds. */
export interface Costs {
  /** Of a relayed and acknowledged signal: all nodes together, and Redis. */
  signalUs: {
    sameNode: { nodes: number; redis: number };
    acrossNodes: { nodes: number; redis: number };
  };
  /** Of two joins, the pairing and the end of the room. */
  pairing: { nodeUs: number; redisUs: number };
  /** Of one that is connected, of one that waits for its first call, and of one that has had several and is in a call. */
  bytes: { idle: Weight; waiting: Weight; busy: Weight };
  /** Of a peer that connects. */
  attaching: { nodeUs: number; redisUs: number };
  /** Of a ping of a client's and the node's answer. */
  pingUs: number;
  /** Of a node for each second in which nothing happens. */
  idleNodeUs: number;
}

export interface Load {
  peers: number;
  /** Mean seconds from one pairing to the next. */
  callS: number;
  signalsPerCall: number;
  /** Bytes of a signal on its way, with its envelope. */
  signalBytes: number;
  /** Share of a core that is used at most, so that a Friday night finds a reserve. */
  redisShare: number;
  nodeShare: number;
  /** Sessions that a shard takes before the next one opens. */
  peersPerShard: number;
  /** Mean seconds that a socket lives, and from one ping of its client to the next. */
  socketS: number;
  pingEveryS: number;
  /** Heartbeats of each node at each shard a second, and what one costs Redis (microseconds). */
  heartbeatsPerS: number;
  heartbeatUs: number;
}

export interface Capacity {
  pairingsPerS: number;
  signalsPerS: number;
  nodes: number;
  shards: number;
  /** Cores that are busy. */
  nodeCores: number;
  redisCores: number;
  nodeGiB: number;
  redisGiB: number;
  /** Of one shard that is full. */
  shardGiB: number;
  /** All nodes together, to and from peers; and to and from Redis (Gbit/s). */
  peerGbit: number;
  redisGbit: number;
  /** What is nearest to its limit, on one Redis or node, and the share of the limit. */
  first: { what: string; share: number };
}

const gib = 2 ** 30;

/** All peers are in a call, which they are but for moments, and is when they weigh most. */
export function capacityOf(load: Load, costs: Costs): Capacity {
  const { signalUs, pairing, bytes, attaching } = costs;
  const { peers, callS, signalsPerCall, redisShare, nodeShare, peersPerShard } = load;
  const socketsPerS = peers / load.socketS;
  const pingsPerS = peers / load.pingEveryS;
  const pairingsPerS = peers / 2 / callS;
  const signalsPerS = pairingsPerS * signalsPerCall;
  // The number of nodes decides how many partners are on the same one, and that what a signal costs: it settles quickly.
  let nodes = 1;
  let shards = 1;
  let nodeCores = 0;
  let redisCores = 0;
  for (let round = 0; round < 50; round++) {
    const same = 1 / nodes;
    const mixed = (of: "nodes" | "redis") =>
      same * signalUs.sameNode[of] + (1 - same) * signalUs.acrossNodes[of];
    const present =
      socketsPerS * attaching.nodeUs + pingsPerS * costs.pingUs + nodes * costs.idleNodeUs;
    nodeCores = (signalsPerS * mixed("nodes") + pairingsPerS * pairing.nodeUs + present) / 1e6;
    const beats = nodes * shards * load.heartbeatsPerS * load.heartbeatUs;
    const calls = signalsPerS * mixed("redis") + pairingsPerS * pairing.redisUs;
    redisCores = (calls + socketsPerS * attaching.redisUs + beats) / 1e6;
    nodes = Math.max(1, Math.ceil(nodeCores / nodeShare));
    shards = Math.max(1, Math.ceil(redisCores / redisShare), Math.ceil(peers / peersPerShard));
  }
  const shares = [
    { what: "CPU of a Redis", share: redisCores / shards / redisShare },
    { what: "CPU of a node", share: nodeCores / nodes / nodeShare },
    { what: "peers of a shard", share: peers / shards / peersPerShard },
  ];
  return {
    pairingsPerS,
    signalsPerS,
    nodes,
    shards,
    nodeCores,
    redisCores,
    nodeGiB: (peers * bytes.busy.node) / gib,
    redisGiB: (peers * bytes.busy.redis) / gib,
    shardGiB: (peersPerShard * bytes.busy.redis) / gib,
    // In and out again, to a peer each time; to Redis and, unless both are on one node, out of it.
    peerGbit: (2 * signalsPerS * load.signalBytes * 8) / 1e9,
    redisGbit: ((2 - 1 / nodes) * signalsPerS * load.signalBytes * 8) / 1e9,
    first: shares.reduce((most, one) => (one.share > most.share ? one : most)),
  };
}
