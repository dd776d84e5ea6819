/** The list of keys in the README of the engine in Redis is the one in keys.ts. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { createKeys, type Keys } from "../../../src/engine/redis/keys.ts";
import { birthShardOf, shardsMax, withShard } from "../../../src/engine/redis/shard-ids.ts";
import { root } from "../../support/root.ts";

test("the README names every key and channel, and no other", async () => {
  const text = await Bun.file(join(root, "src/engine/redis/README.md")).text();
  const [, table = ""] = text.split("\n## Keys\n");
  const [own = ""] = table.split("\n## ");
  const named = [...own.matchAll(/^\| `([^`]+)`/gm)].map(([, key = ""]) =>
    key.replaceAll(/<[^>]+>/g, "*"),
  );
  const keys = createKeys("");
  const prefix = keys.online().slice(0, -"online".length);
  const used = (Object.keys(keys) as (keyof Keys)[]).map((name) =>
    (keys[name] as (...args: string[]) => string)("*", "*", "*").slice(prefix.length),
  );
  expect(named.sort()).toEqual(used.sort());
});

test("the number of a shard is in the last two characters of an id, and nothing else of the id changes", () => {
  const id = "K0sT0d1dzV3qVn0hQk9k6A";
  for (const shard of [0, 1, 63, 64, 1000, shardsMax - 1]) {
    const born = withShard(id, shard);
    expect(born).toHaveLength(id.length);
    expect(born.slice(0, -2)).toBe(id.slice(0, -2));
    expect(born).toMatch(/^[\w-]+$/);
    expect(birthShardOf(born, shardsMax)).toBe(shard);
    expect(birthShardOf(born, shard + 1)).toBe(shard);
  }
  // Ids of any other form belong somewhere, too, and always to the same one.
  for (const other of ["", "x", "alice", id]) {
    expect(birthShardOf(other, 3)).toBeWithin(0, 3);
    expect(birthShardOf(other, 1)).toBe(0);
  }
});
