/** Marks (see ../marks.ts) in Redis, the same on all nodes: each a string that expires. */
import type { Rejection } from "../../domain/rejection.ts";
import type { Marks } from "../marks.ts";

export interface SharedMarksParts {
  /** Rejects while Redis is unavailable. */
  command: (...args: string[]) => Promise<unknown>;
  keyOf: (name: string) => string;
  /** Turns the failure of a storage that is away into its rejection. */
  answering: <T>(task: () => Promise<T>) => Promise<T | Rejection>;
}

export function createSharedMarks({ command, keyOf, answering }: SharedMarksParts): Marks {
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
