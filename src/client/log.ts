/** What is logged for debugging: states, transports, and signals and refusals by kind; never tokens, addresses or what people write. */
import type { SessionInput } from "./session-input.ts";
import type { PeerStreamState } from "./state.ts";
import type { TokenStorage } from "./token-store.ts";

/** Takes lines; `console` is suitable. */
export type Logger = Partial<Pick<Console, "debug" | "info" | "warn" | "error">>;

export type Log = (level: keyof Logger, line: string) => void;

/** @param storage - looked at once, if there is no logger: with anything under `peer-stream.debug` the console is used. */
export function createLog(logger: Logger | undefined, storage: TokenStorage): Log {
  let found = logger;
  return (level, line) => {
    // Blocked cookies, or a fault of the logger.
    try {
      found ??= storage.getItem("peer-stream.debug") ? console : {};
      found[level]?.(`peer-stream: ${line}`);
    } catch {
      found ??= {};
    }
  };
}

const own = ["type", "status", "what", "ended", "kind", "reason"];
const nested = ["event", "signal", "message", "error"];

/** The kind of an input, or of a state, and of what it brings; of a cause its name. */
export function describe(given: SessionInput | PeerStreamState): string {
  const words: string[] = [];
  const add = (value: object) => {
    for (const name of own) {
      const word: unknown = Reflect.get(value, name);
      if (typeof word === "string") words.push(word);
    }
    for (const name of nested) {
      const part: unknown = Reflect.get(value, name);
      if (typeof part === "object" && part !== null) add(part);
    }
    const cause: unknown = Reflect.get(value, "cause");
    if (cause instanceof Error) words.push(cause.name);
  };
  add(given);
  return words.join(" ");
}
