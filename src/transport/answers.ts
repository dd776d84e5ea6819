/** What the server says in tRPC v11's protocol, as the text that goes over the wire. */
import { isTrackedEnvelope, type TRPCErrorShape } from "@trpc/server";
import {
  defaultTransformer,
  TRPC_ERROR_CODES_BY_KEY,
  type CombinedDataTransformer,
} from "@trpc/server/unstable-core-do-not-import";

export type CallId = string | number;

/** What a peer gets whose error can't be shaped or worded: nothing of the error, which a formatter might hide. */
export const namelessError: TRPCErrorShape = {
  code: TRPC_ERROR_CODES_BY_KEY.INTERNAL_SERVER_ERROR,
  message: "Internal server error",
  data: { code: "INTERNAL_SERVER_ERROR", httpStatus: 500 },
};

/**
 * How every answer to a call begins: once per call, however much is answered to it.
 * @param id `null`: what is answered belongs to no call.
 * @param jsonrpc sent back as it came.
 */
export function headOf(id: CallId | null, jsonrpc?: "2.0"): string {
  const head = `{"id":${typeof id === "number" && Number.isFinite(id) ? id : JSON.stringify(id)}`;
  return jsonrpc === undefined ? head : `${head},"jsonrpc":"2.0"`;
}

/** A value that is in JSON already, and goes out as it is. */
export class Json {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

const wording = Symbol("wording");

/** A constant, put into words once and for all; to everybody else it is what it was. */
export function worded<T extends object>(value: T): T {
  return Object.freeze(Object.defineProperty(value, wording, { value: JSON.stringify(value) }));
}

/** In JSON the same as between quotation marks. */
const isPlainId = /^[\w:.-]*$/;

export interface Answers {
  /**
   * A result, or an event of a subscription, tracked or not.
   * @throws what the transformer throws, or JSON for what it has no words for.
   */
  data(head: string, value: unknown): string;
  started(head: string): string;
  stopped(head: string): string;
  /** @throws as `data` does. */
  error(head: string, shape: unknown): string;
}

/**
 * @param transformer the router's; nothing is spent on the default one, which leaves everything as it is.
 */
export function createAnswers(transformer: CombinedDataTransformer): Answers {
  const isPlain = transformer === defaultTransformer;
  const serialize = (value: unknown): string | undefined => {
    if (!isPlain) return JSON.stringify(transformer.output.serialize(value));
    const words = (value as { [wording]?: string } | null | undefined)?.[wording];
    return words ?? JSON.stringify(value);
  };

  // Put together from texts: an object made only to be worded costs as much as its content.
  const result = (head: string, text: string | undefined, more = "") =>
    text === undefined
      ? `${head},"result":{"type":"data"${more}}}`
      : `${head},"result":{"type":"data","data":${text}${more}}}`;

  return {
    data(head, value) {
      if (!isTrackedEnvelope(value)) return result(head, serialize(value));
      const [id, data] = value;
      const idText = isPlainId.test(id) ? `"${id}"` : JSON.stringify(id);
      const text =
        isPlain && data instanceof Json
          ? `{"id":${idText},"data":${data.text}}`
          : serialize({ id, data: data instanceof Json ? data.toJSON() : data });
      return result(head, text, `,"id":${idText}`);
    },
    started: (head) => `${head},"result":{"type":"started"}}`,
    stopped: (head) => `${head},"result":{"type":"stopped"}}`,
    error: (head, shape) => `${head},"error":${serialize(shape)}}`,
  };
}
