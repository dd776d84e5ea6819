/** One script, played before tRPC's own handler and before ours; and what each made of it. */
import type { TRPCError } from "@trpc/server";
import { parseTRPCMessage } from "@trpc/server/unstable-core-do-not-import";
import { limits } from "../../src/protocol.ts";
import { createSockets, fakeSocket, requestFor } from "./trpc-sockets.ts";
import type { AcceptSocket, Socket } from "../../src/trpc-ws/socket.ts";
import { createStockSockets } from "./stock.ts";
import { createTroupe, type Cue, type TroupeOptions } from "./troupe.ts";

/** What happens to a socket, or behind it. */
export type Step =
  | { frame: unknown }
  /** Sent as it is. */
  | { raw: string | Uint8Array }
  | { key: string; cue: Cue }
  /** The server has begun to close it; the close event is still to come. */
  | "closing"
  /** It is gone. */
  | "drop";

export interface StageOptions extends TroupeOptions {
  url?: string;
  /** Refuses some connections. */
  createContext?: (params: Record<string, unknown>) => { name: string };
  onError?: () => void;
}

/** What a script led to, so that two can be compared. */
export interface Outcome {
  /**
   * By the id they were sent under, in order. Which of two calls is answered first is open; and so is whether
   * a malformed call is before one of the same id.
   */
  answers: Record<string, unknown[]>;
  /** Codes and names, or that it was ended without a word. */
  closed: (number | "terminated")[];
  /** What was reported, but for malformed messages, in any order. */
  errors: string[];
  /** What the procedures saw, in any order. */
  journal: string[];
}

/** tRPC's word for a binary frame names its encoder. */
const binaryRefused = /^jsonEncoder received binary data.*/;

/** Until nothing is left to do but what waits for a cue. */
async function settle() {
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** Plays a script before one of the two, to the end of all that it set off. */
async function play(
  accept: (stage: {
    router: ReturnType<typeof createTroupe>["router"];
    createContext: (params: Record<string, unknown>) => { name: string };
    onError: (error: TRPCError, path: string | undefined) => void;
  }) => AcceptSocket<unknown>,
  script: readonly Step[],
  options: StageOptions,
): Promise<Outcome> {
  const troupe = createTroupe(options);
  const outcome: Outcome = { answers: {}, closed: [], errors: [], journal: troupe.journal };
  let open = true;
  const socket: Socket = fakeSocket({
    get open() {
      return open;
    },
    send(text) {
      if (!open) return;
      if (text === "PING" || text === "PONG") {
        (outcome.answers[text] ??= []).push(text);
        return;
      }
      const answer = JSON.parse(text) as {
        id: unknown;
        error?: { code?: number; message: string };
      };
      if (answer.error)
        answer.error.message = `${answer.error.message}`.replace(
          binaryRefused,
          "JSON travels in text frames",
        );
      const isMalformed = answer.error?.code === -32700;
      const under = JSON.stringify(answer.id) + (isMalformed ? " malformed" : "");
      (outcome.answers[under] ??= []).push(answer);
    },
    close(code) {
      open = false;
      outcome.closed.push(code);
    },
    terminate() {
      open = false;
      outcome.closed.push("terminated");
    },
  });
  const listener = accept({
    router: troupe.router,
    createContext: options.createContext ?? (({ name = "Alice" }) => ({ name: String(name) })),
    onError(error, path = "") {
      if (error.code === "PARSE_ERROR") return;
      const known = Object.hasOwn(troupe.router._def.procedures, path) ? path : "no procedure";
      outcome.errors.push(`${known}: ${error.code} ${error.message}`);
      options.onError?.();
    },
  })(socket, requestFor(options.url ?? "/trpc"));
  await settle();
  for (const step of script) {
    if (step === "closing") open = false;
    else if (step === "drop") {
      open = false;
      listener.close();
    } else if ("key" in step) troupe.cue(step.key, step.cue);
    else if (open) listener.message("raw" in step ? step.raw : JSON.stringify(step.frame));
    await settle();
  }
  open = false;
  listener.close();
  await settle();
  outcome.errors.sort();
  outcome.journal.sort();
  return outcome;
}

const deadlines = { pingMs: 2 ** 30, pongWaitMs: 2 ** 30, firstMessageMs: 2 ** 30 };

export function playOurs(script: readonly Step[], options: StageOptions = {}): Promise<Outcome> {
  return play(
    (stage) =>
      createSockets({
        ...stage,
        deadlines,
        elapsed: () => 0,
        schedule(delayMs, task) {
          if (delayMs === 0) setImmediate(task);
          return () => {};
        },
      }),
    script,
    options,
  );
}

/**
 * The oracle. Where ours is meant to differ (a malformed call is answered under its own id, and costs none
 * beside it), it is asked what it says to that call alone.
 */
export function playStock(script: readonly Step[], options: StageOptions = {}): Promise<Outcome> {
  return play(
    (stage) => {
      const accept = createStockSockets({ ...stage, deadlines });
      const { transformer } = stage.router._def._config;
      return (socket, upgrade) => {
        let relabelled: { id?: unknown; jsonrpc?: unknown } | undefined;
        const listener = accept(
          fakeSocket({
            get open() {
              return socket.open;
            },
            send(text) {
              if (!relabelled) return socket.send(text);
              const { id, ...answer } = JSON.parse(text) as { id: unknown };
              socket.send(JSON.stringify({ id, ...relabelled, ...answer }));
            },
            close: (code, reason) => socket.close(code, reason),
            terminate: () => socket.terminate(),
          }),
          upgrade,
        );
        let isFirst = upgrade.url.includes("connectionParams=1");

        const isMalformed = (call: unknown) => {
          try {
            parseTRPCMessage(call, transformer);
            return false;
          } catch {
            return true;
          }
        };
        function alone(call: unknown) {
          const { id, method, jsonrpc } = (call ?? {}) as Record<string, unknown>;
          const named = typeof id === "string" || typeof id === "number";
          if (named && method !== "subscription.stop")
            relabelled = { id, jsonrpc: jsonrpc === "2.0" ? jsonrpc : undefined };
          listener.message(JSON.stringify([call]));
          relabelled = undefined;
        }

        return {
          close: () => listener.close(),
          message(data) {
            if (data === "PING" || data === "PONG") return listener.message(data);
            let parsed: unknown;
            try {
              parsed = JSON.parse(data as string);
            } catch {
              parsed = undefined;
            }
            const isParams = isFirst;
            isFirst = false;
            if (isParams || typeof data !== "string" || parsed === undefined)
              return listener.message(data);
            if (!Array.isArray(parsed))
              return isMalformed(parsed) ? alone(parsed) : listener.message(data);
            const calls: unknown[] = parsed;
            if (calls.length > limits.batchCallsMax) return listener.message(data);
            for (const call of calls) if (isMalformed(call)) alone(call);
            // Something that does nothing keeps its place.
            const held = { id: "nobody's", method: "subscription.stop" };
            listener.message(
              JSON.stringify(calls.map((call) => (isMalformed(call) ? held : call))),
            );
          },
        };
      };
    },
    script,
    options,
  );
}
