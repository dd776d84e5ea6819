/** Marks (see ../marks.ts) in Redis, the same on all nodes: each a string that expires. */
import type { Rejection } from "../../domain/rejection.ts";
import type { Marks } from "../marks.ts";
import type { Shard } from "./shard.ts";

/** @param site the first of the shards. */
export function createSharedMarks({ node, transactor }: Shard): Marks {
  const command = (...args: string[]) => node.command(...args);
  const keyOf = (name: string) => node.keys.mark(name);
  const answering = <T>(task: () => Promise<T | Rejection>) => transactor.answering(task);
  const lifeOf = (lifeMs: number) => String(Math.max(1, Math.ceil(lifeMs)));
  return {
    claim: (name, lifeMs) =>
      answering(
        async () => (await command("SET", keyOf(name), "1", "PX", lifeOf(lifeMs), "NX")) !== null,
      ),
    set: (name, text, lifeMs) =>
      answering(async () => {
        await command("SET", keyOf(name), text, "PX", lifeOf(lifeMs));
        return undefined;
      }),
    get: (name) =>
      answering(async () => {
        const text = await command("GET", keyOf(name));
        return text === null ? undefined : String(text);
      }),
  };
}
