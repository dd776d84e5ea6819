/** The server's messages in tRPC v11's protocol, as the text that is sent. */
import { isTrackedEnvelope, type TRPCErrorShape } from "@trpc/server";
import {
  defaultTransformer,
  TRPC_ERROR_CODES_BY_KEY,
  type CombinedDataTransformer,
} from "@trpc/server/unstable-core-do-not-import";

export type CallId = string | number;

/** Sent for an error that can't be formatted or serialized: nothing of the error, which a formatter might have hidden. */
export const opaqueError: TRPCErrorShape = {
  code: TRPC_ERROR_CODES_BY_KEY.INTERNAL_SERVER_ERROR,
  message: "Internal server error",
  data: { code: "INTERNAL_SERVER_ERROR", httpStatus: 500 },
};

/**
 * How every response to a call begins: made once per call, however many responses it has.
 * @param id `null` for a response to no call in particular.
 * @param jsonrpc sent back as it came.
 */
export function responsePrefix(id: CallId | null, jsonrpc?: "2.0"): string {
  const prefix = `{"id":${typeof id === "number" && Number.isFinite(id) ? id : JSON.stringify(id)}`;
  return jsonrpc === undefined ? prefix : `${prefix},"jsonrpc":"2.0"`;
}

/** Characters that are the same in JSON. */
const isPlainId = /^[\w:.-]*$/;

export interface ResponseEncoder {
  /**
   * A result, or an event of a subscription, tracked or not.
   * @throws what the transformer throws, or `JSON.stringify`.
   */
  data(prefix: string, value: unknown): string;
  /** A tracked event whose data is serialized already. @throws as `data` does. */
  trackedJson(prefix: string, trackedId: string, json: string): string;
  started(prefix: string): string;
  stopped(prefix: string): string;
  /** @throws as `data` does. */
  error(prefix: string, shape: unknown): string;
}

/** @param transformer the router's. The default one, which changes nothing, is not called. */
export function createResponseEncoder(transformer: CombinedDataTransformer): ResponseEncoder {
  const isDefault = transformer === defaultTransformer;
  const serialize = (value: unknown): string | undefined =>
    JSON.stringify(isDefault ? value : transformer.output.serialize(value));

  // Concatenated texts: an object made only to be serialized costs as much as its content.
  const result = (prefix: string, text: string | undefined, more = "") =>
    text === undefined
      ? `${prefix},"result":{"type":"data"${more}}}`
      : `${prefix},"result":{"type":"data","data":${text}${more}}}`;
  const quoted = (id: string) => (isPlainId.test(id) ? `"${id}"` : JSON.stringify(id));

  return {
    data(prefix, value) {
      if (!isTrackedEnvelope(value)) return result(prefix, serialize(value));
      const [id, data] = value;
      return result(prefix, serialize({ id, data }), `,"id":${quoted(id)}`);
    },
    trackedJson(prefix, trackedId, json) {
      const id = quoted(trackedId);
      const text = isDefault
        ? `{"id":${id},"data":${json}}`
        : serialize({ id: trackedId, data: JSON.parse(json) as unknown });
      return result(prefix, text, `,"id":${id}`);
    },
    started: (prefix) => `${prefix},"result":{"type":"started"}}`,
    stopped: (prefix) => `${prefix},"result":{"type":"stopped"}}`,
    error: (prefix, shape) => `${prefix},"error":${serialize(shape)}}`,
  };
}
