/** What the user of `REDIS_URL` must be allowed to do. `src/app/README.md` has it as a line for Redis. */

/** On keys that begin with the site's prefix. */
const keyCommands =
  "exists get getex set incr del rename expire pexpire persist ttl pttl " +
  "hget hset hsetnx hdel hmget hgetall hvals hlen sadd srem scard smembers srandmember " +
  "setbit bitpos strlen zadd zrem zscore zcard zrange zrangebyscore zremrangebyscore zremrangebyrank zpopmin " +
  "rpush rpushx llen lrange ltrim xadd xdel xlen xrange xtrim";

/** Each command with words that stand for its arguments: `KEY` for a key, `CHANNEL` for a channel of the site, and a subcommand. */
export const rights: readonly (readonly [command: string, ...args: string[]])[] = [
  ...keyCommands.split(" ").map((name): [string, string] => [name, "KEY"]),
  ["bitop", "or", "KEY", "KEY"],
  ["memory", "usage", "KEY"],
  ["eval", "", "1", "KEY"],
  ["evalsha", "", "1", "KEY"],
  ["spublish", "CHANNEL", ""],
  ["ssubscribe", "CHANNEL"],
  ["sunsubscribe", "CHANNEL"],
  ["time"],
  ["info"],
];

/** Those of which only the subcommand is granted. */
const containers: readonly string[] = ["memory", "cluster"];

/** In a cluster also. */
export const clusterRights: typeof rights = [
  ["cluster", "keyslot", "KEY"],
  ["cluster", "slots"],
  ["cluster", "info"],
];

/** With a database other than 0 also. */
export const databaseRights: typeof rights = [["select", "1"]];

/** The line that grants all of it. */
export function aclLine(prefix: string): string {
  const granted = [...rights, ...databaseRights, ...clusterRights].map(([name, subcommand]) =>
    containers.includes(name) ? `${name}|${subcommand}` : name,
  );
  const commands = granted.map((name) => `+${name}`).join(" ");
  return `ACL SETUSER peer-stream on >password resetkeys resetchannels ~${prefix}* &${prefix}* -@all ${commands}`;
}
