/** The client's messages in tRPC v11's protocol. */
import { TRPCError, type TRPCProcedureType } from "@trpc/server";
import {
  parseConnectionParamsFromUnknown,
  parseTRPCMessage,
  type CombinedDataTransformer,
} from "@trpc/server/unstable-core-do-not-import";
import { responsePrefix, type CallId } from "./responses.ts";

/** A call of a procedure. */
export interface Call {
  readonly id: CallId;
  /** How its responses begin. */
  readonly prefix: string;
  readonly type: TRPCProcedureType;
  readonly path: string;
  readonly input: unknown;
  /** Its index in its batch; 0 for a single call. */
  readonly batchIndex: number;
}

/** What an error is about. */
export interface About {
  readonly type: TRPCProcedureType | "unknown";
  readonly path: string | undefined;
  readonly input: unknown;
}

export const noCall: About = { type: "unknown", path: undefined, input: undefined };

/** A call; the end of a subscription; or neither, with the prefix under which its sender expects a response. */
export type Message = Call | { stop: CallId } | { malformed: unknown; prefix: string };

/** Reads one member of a frame. A malformed one keeps its id if it has a usable one, so that no other is affected. */
export function readMessage(
  raw: unknown,
  batchIndex: number,
  transformer: CombinedDataTransformer,
): Message {
  try {
    const message = parseTRPCMessage(raw, transformer);
    const { id, jsonrpc, method } = message;
    const prefix = responsePrefix(id, jsonrpc);
    if (id === null) return { malformed: new Error("`id` is required"), prefix };
    if (method === "subscription.stop") return { stop: id };
    const { path, input, lastEventId } = message.params;
    return {
      id,
      prefix,
      type: method,
      path,
      input: lastEventId === undefined ? input : withLastEventId(input, lastEventId),
      batchIndex,
    };
  } catch (cause) {
    return { malformed: cause, prefix: prefixOf(raw) ?? responsePrefix(null) };
  }
}

/** As tRPC does it: merged into an object, or in place of no input at all; any other input stays as it is. */
function withLastEventId(input: unknown, lastEventId: string): unknown {
  if (typeof input === "object" && input !== null && !Array.isArray(input))
    return { ...input, lastEventId };
  return input ?? { lastEventId };
}

/** How the response to a call begins that is not made; `undefined` if no response is expected. */
export function prefixOf(call: unknown): string | undefined {
  if (typeof call !== "object" || call === null || !("id" in call)) return undefined;
  if ("method" in call && call.method === "subscription.stop") return undefined;
  const { id } = call;
  if (typeof id !== "string" && typeof id !== "number") return undefined;
  const isJsonRpc = "jsonrpc" in call && call.jsonrpc === "2.0";
  return isJsonRpc ? responsePrefix(id, "2.0") : responsePrefix(id);
}

/** Whether a frame exceeds so many bytes of UTF-8. The length of the text decides all but the near misses. */
export function isLonger(data: string | Uint8Array, bytesMax: number): boolean {
  if (typeof data !== "string") return data.byteLength > bytesMax;
  if (data.length * 3 <= bytesMax) return false;
  return data.length > bytesMax || Buffer.byteLength(data) > bytesMax;
}

/** @throws for a binary frame, and for what is not JSON. */
export function parseJson(data: string | Uint8Array): unknown {
  if (typeof data !== "string") throw new Error("JSON travels in text frames");
  return JSON.parse(data);
}

/** @throws a `PARSE_ERROR` for anything but an object of strings, or null. */
export function readConnectionParams(data: string | Uint8Array): Record<string, unknown> {
  let message: unknown;
  try {
    message = parseJson(data);
    if (typeof message !== "object" || message === null || Array.isArray(message))
      throw new Error("Message was not an object");
  } catch (cause) {
    throw new TRPCError({
      code: "PARSE_ERROR",
      message: "Malformed TRPCConnectionParamsMessage",
      cause,
    });
  }
  return { ...parseConnectionParamsFromUnknown((message as { data?: unknown }).data) };
}

export function malformed(cause: unknown): TRPCError {
  return new TRPCError({ code: "PARSE_ERROR", cause });
}
