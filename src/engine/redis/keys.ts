/**
 * The layout of the data in Redis: every key and channel, with its type, what it holds, and how long it lives. Each begins
 * with the site's prefix, the version of this layout, so that versions never read each other's data, and the number of its
 * part of the lobby in braces: a cluster keeps all keys and channels with the same text in braces on the same master.
 */

/** Before each key and channel, unless a site has a prefix of its own. */
export const defaultPrefix = "peer-stream:";

/**
 * The version of this layout, of the messages between nodes and of the scripts. Increase it with every change that a node
 * of the version before would misread. Nodes of two versions never share a lobby: one that finds another version in use
 * refuses to start.
 */
export const layoutVersion = "2";

/** Keys of a name in which `{}` stands for each argument. */
const patterns = {
  /**
   * hash: a session (see session-codec.ts), and `name`, `dropped`, `mark` of its log. Or, under `@` and its name, what an account has of its own,
   * and its `version`. Expires when it is not needed.
   */
  session: "s:{}",
  /** set: the sessions of an account that have an open stream. */
  accountSessions: "p:{}",
  /** list: the entries of a session's log, the oldest first, under its present name (see log.lua). Deleted when its grace has expired. */
  log: "l:{}:{}",
  /** hash: mutation id → recorded result (see commit.lua). Expires after 150 s. */
  results: "a:{}",
  /** sorted set: whom a person avoids (see `personOf`), by when that ends (epoch milliseconds, `+inf`: a block). Expires as that does. */
  avoidances: "v:{}",
  /** string: the standing offer of a session that waits, as JSON. Deleted with its ticket, or before. */
  standingOffer: "o:{}",
  /** hash: address hash → bytes of the standing offers of those who came from there; `all` → those of all together. */
  standingBytes: "standing",
  /** set: the rooms of a mode, those of all lobbies. */
  rooms: "rooms:{}",
  /** set: the sessions with an open stream, those of all lobbies. */
  online: "online",
  /** sorted set: the tickets of a mode, those of all lobbies, by when they queued (epoch milliseconds). */
  lobby: "lobby:{}",
  /** hash: the counts of each lobby but for that one which is always there (see count_in_lobby.lua). Without any it is deleted. */
  lobbyCounts: "lobbies",
  /**
   * sorted set: the tickets of a mode that are listed under a word of a kind (`interest`, `language`, `anybody`, `fact`), likewise. Before a word
   * of another lobby than that which is always there stand its name and a line break.
   */
  term: "i:{}:{}:{}",
  /** hash: place → since when it is queued and session, of the tickets of a pool that accept anybody (see fits.lua), and the `next` place. Deleted with the last one. */
  places: "fp:{}",
  /** string, a bitmap by place: which of them are taken. Likewise. */
  takenPlaces: "ft:{}",
  /** string, a bitmap by place: the tickets that state or refuse something. Likewise. */
  factBits: "fb:{}:{}",
  /** string, a bitmap by place: the tickets of a pool that are listed under a word of a kind (`anybody`, `fact`). Deleted with the last one. */
  termPlaces: "fi:{}:{}:{}",
  /** string, a bitmap by place: only while a script runs. */
  fitting: "ff:{}",
  /** sorted set: deadlines (see deadlines.ts) by when they are due (epoch milliseconds). */
  due: "due",
  /** string: a node, and what is known of it. Its lease: expires unless it is renewed; without it the node is fenced off. */
  node: "node:{}",
  /** sorted set: the nodes, by their last heartbeat (epoch milliseconds). Those that are gone are removed. */
  nodes: "nodes",
  /** set: the sessions with streams on a node. Deleted with its last member. */
  nodeSessions: "ns:{}",
  /** string: the node that takes over the sessions of one that is gone. Expires after 5 s. */
  takeOverLock: "heir:{}",
  /** hash, in shard 0: node → peers that it has, whether it is about to end, and its name. Those that are gone are removed. */
  loads: "loads",
  /** hash: address hash → sockets that it has open on a node. Expires after ten leases. */
  sockets: "sockets:{}",
  /** string: handshakes of an address hash. Expires after a minute. */
  handshakes: "rate:{}",
  /** stream: reports and decisions of operators (see moderation-log.ts); at most about 100,000. */
  moderationLog: "mod",
  /** stream: what a console shows of the newest reports (see operator-view.ts), in shard 0; at most `notedReportsMax`. Expires a week after the last. */
  notedReports: "reports",
  /** hash: subject → suspension, bounded by `recordsMax`. */
  suspensions: "suspended",
  /** stream: what each entry of the moderation log has decided, under the entry's id. Bounded in number and age; expires as the last one does. */
  decisions: "decisions",
  /** sorted set: case → when it was decided (epoch milliseconds) and what, in one number (see decision-stream.ts). Likewise. */
  cases: "cases",
  /** set: entries of the moderation log whose lifecycle events are still to be appended (see tell_verdict.lua). */
  untoldVerdicts: "untold",
  /** stream: lifecycle events that are to be told (see lifecycle-reader.ts). Bounded; each is removed once it was told. */
  lifecycle: "events",
  /** string: how many lifecycle events were lost as there were too many. Deleted once that is known. */
  lifecycleLost: "events-lost",
  /** string: the node that tells them. Expires with its lease. */
  lifecycleReader: "teller",
  /** sorted set: persons that are gone and have blocked another, by when they went. Bounded; expires as a token does. */
  blockers: "blockers",
  /** sorted set: the same of one address hash. */
  blockersAt: "blockers:{}",
  /** hash: name of a session secret → the key of address hashes, encrypted (see address-key.ts). */
  addressKeys: "address-keys",
  /** string: counts the lives of the data (see data_epoch.lua). */
  dataEpoch: "era",
  /** string: the replication id of the life that is counted. */
  history: "history",
  /** string: the shard to which a session was moved. Expires as its token does, after it was used last. */
  moved: "m:{}",
  /** string, in shard 0: a mark (see ../marks.ts). Expires. */
  mark: "k:{}",
  /** string, in shard 0: how many shards are open. */
  openShards: "open",
  /** channel: for one node. */
  nodeChannel: "n:{}",
  /** channel: for all nodes. */
  allNodes: "all",
} as const;

type KeyName = keyof typeof patterns;
type Arguments<Pattern> = Pattern extends `${string}{}${infer Rest}`
  ? [string, ...Arguments<Rest>]
  : [];

export type Keys = {
  readonly [Name in KeyName]: (...args: Arguments<(typeof patterns)[Name]>) => string;
};

/** What all keys of a part of a site's lobby begin with. */
export const versionedPrefix = (prefix: string, shard = 0): string =>
  `${prefix}${layoutVersion}:${tagOf(shard)}:`;

/**
 * string: the version of the layout in use. Expires ten leases after the last heartbeat. The same for all versions, the first of which
 * had no tags; a cluster needs one.
 */
export const layoutKey = (prefix: string, clusterShard?: number): string =>
  clusterShard === undefined ? `${prefix}layout` : `${prefix}${tagOf(clusterShard)}:layout`;

/**
 * A key that never exists. Each script declares it as its only key. That leads it to the right master of a cluster, and as
 * long as its slot is being moved to another one, Redis refuses the script before it has done anything: a declared key that
 * is missing may have been moved. The keys that the script goes on to use are not declared, and some of them may have been
 * moved already.
 */
export const absentKey = (prefix: string, shard = 0): string => `${prefix}${tagOf(shard)}:absent`;

/**
 * Redis Cluster, hash tags: only what is in the first braces decides on which master a key is. 2 and 3, 6 and 7, and so on are
 * exchanged: the slots of `{0}`, `{1}`, `{3}` are in different thirds of all slots, so that each of three masters has one.
 */
const tagOf = (shard: number): string => `{${shard ^ ((shard >> 1) & 1)}}`;

/** @param prefix the site's, without the version. */
export function createKeys(prefix: string, shard = 0): Keys {
  const whole = versionedPrefix(prefix, shard);
  const keyOf = (pattern: string) => {
    const [first = "", ...rest] = pattern.split("{}");
    if (rest.length === 0) return () => whole + first;
    return (...args: string[]) =>
      rest.reduce((key, part, index) => key + (args[index] ?? "") + part, whole + first);
  };
  return Object.fromEntries(
    Object.entries(patterns).map(([name, pattern]) => [name, keyOf(pattern)]),
  ) as Keys;
}

/**
 * The same as functions in Lua, such as `session_key(id)`, for those that a script's text mentions. They use the script's
 * local `prefix`, which is the versioned one.
 */
export function luaKeysFor(script: string): string {
  return Object.entries(patterns)
    .map(([name, pattern]) => ({ name: luaNameOf(name), pattern }))
    .filter(({ name }) => script.includes(`${name}(`))
    .map(({ name, pattern }) => {
      const parts = pattern.split("{}");
      const names = ["a", "b", "c"].slice(0, parts.length - 1);
      const text = parts.map((part, index) =>
        [`'${part}'`, names[index]].filter(Boolean).join(" .. "),
      );
      return `local function ${name}(${names.join(", ")}) return prefix .. ${text.join(" .. ")} end`;
    })
    .join("\n");
}

/** `nodeSessions` → `node_sessions_key`; channels end in `_channel` by name. */
function luaNameOf(name: string): string {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return snake.endsWith("_channel") ? snake : `${snake}_key`;
}
