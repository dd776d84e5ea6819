/** What a peer sends in tRPC v11's protocol, read from frames. */
import type { TRPCProcedureType } from "@trpc/server";
import {
  parseTRPCMessage,
  type CombinedDataTransformer,
} from "@trpc/server/unstable-core-do-not-import";
import { headOf, type CallId } from "./answers.ts";

/** A call of a procedure. */
export interface Call {
  readonly id: CallId;
  /** How its answers begin. */
  readonly head: string;
  readonly type: TRPCProcedureType;
  readonly path: string;
  readonly input: unknown;
  /** Its place in its batch; 0 alone. */
  readonly batchIndex: number;
}

/** A call; the end of a subscription; or what is neither, and under which id its sender waits for an answer. */
export type Message = Call | { stop: CallId } | { malformed: unknown; head: string };

/**
 * Reads one member of a frame. A malformed one keeps its id, if it has one that can be answered: so it costs
 * none of those beside it.
 */
export function readMessage(
  raw: unknown,
  batchIndex: number,
  transformer: CombinedDataTransformer,
): Message {
  try {
    const message = parseTRPCMessage(raw, transformer);
    const { id, jsonrpc, method } = message;
    if (id === null) return { malformed: new Error("`id` is required"), head: headOf(id, jsonrpc) };
    if (method === "subscription.stop") return { stop: id };
    const { path, input, lastEventId } = message.params;
    return {
      id,
      head: headOf(id, jsonrpc),
      type: method,
      path,
      input: lastEventId === undefined ? input : withLastEventId(input, lastEventId),
      batchIndex,
    };
  } catch (cause) {
    return { malformed: cause, head: answeredUnder(raw)?.head ?? headOf(null) };
  }
}

/** As tRPC does it: into an object, or in the place of no input at all; any other input stays as it is. */
function withLastEventId(input: unknown, lastEventId: string): unknown {
  if (typeof input === "object" && input !== null && !Array.isArray(input))
    return { ...input, lastEventId };
  return input ?? { lastEventId };
}

/** The id and the beginning of the answer to a call that is not made; `undefined` if nobody waits for one. */
export function answeredUnder(call: unknown): { id: CallId; head: string } | undefined {
  if (typeof call !== "object" || call === null || !("id" in call)) return undefined;
  if ("method" in call && call.method === "subscription.stop") return undefined;
  const { id } = call;
  if (typeof id !== "string" && typeof id !== "number") return undefined;
  const isJsonRpc = "jsonrpc" in call && call.jsonrpc === "2.0";
  return { id, head: isJsonRpc ? headOf(id, "2.0") : headOf(id) };
}

/** Whether a text takes more than so many bytes of UTF-8; the cheap tests settle all but the near misses. */
export function isLonger(text: string, bytesMax: number): boolean {
  if (text.length * 3 <= bytesMax) return false;
  return text.length > bytesMax || Buffer.byteLength(text) > bytesMax;
}
