/** The text frames of the socket, which are tRPC v11's, as zod schemas: see https://trpc.io/docs/server/websockets. */
import { z } from "zod";
import { limits } from "../../protocol.ts";

/** Frames by name; each end's together are a union. */
export interface Frames {
  readonly client: Readonly<Record<string, z.ZodType>>;
  readonly server: Readonly<Record<string, z.ZodType>>;
}

/** The schemas of a procedure. */
export interface FramedCall {
  /** `AddIceCandidate` */
  readonly title: string;
  readonly path: string;
  readonly type: "query" | "mutation";
  /** Absent: it takes none. */
  readonly input: z.ZodType | undefined;
  readonly answer: z.ZodType;
}

const callId = z.union([z.string(), z.number()]).meta({
  description: "chosen by the client, another one for each call that is open on the socket",
});
/** tRPC's client sends none; one that is sent comes back. */
const jsonrpc = z.literal("2.0").exactOptional();
const eventId = z.string().meta({ description: "`epoch:offset`: what `lastEventId` takes" });

/**
 * @param eventsInput what `events` takes.
 * @param event all events.
 * @param refusal how a call is refused.
 */
export function createFrames(
  calls: readonly FramedCall[],
  { eventsInput, event, refusal }: Record<"eventsInput" | "event" | "refusal", z.ZodType>,
): Frames {
  const subscribe = z.object({
    id: callId,
    jsonrpc,
    method: z.literal("subscription"),
    params: z.object({
      path: z.literal("events"),
      input: eventsInput.optional(),
      lastEventId: eventId.exactOptional(),
    }),
  });
  const stop = z.object({ id: callId, jsonrpc, method: z.literal("subscription.stop") });
  const callFrames = calls.map((call) => [`${call.title}Call`, callFrame(call)] as const);
  const inBatch = [subscribe, stop, ...callFrames.map(([, frame]) => frame)];
  const result = <Fields extends z.ZodRawShape>(fields: Fields) =>
    z.object({ id: callId, jsonrpc, result: z.object(fields) });

  return {
    client: {
      ConnectionParams: connectionParams,
      Subscribe: subscribe,
      Unsubscribe: stop,
      ...Object.fromEntries(callFrames),
      Batch: z
        .array(z.union(inBatch))
        .max(limits.batchCallsMax)
        .meta({ description: "Several calls in one frame, each answered in a frame of its own." }),
    },
    server: {
      Started: result({ type: z.literal("started") }).meta({
        description: "The subscription is open.",
      }),
      EventFrame: result({
        type: z.literal("data"),
        id: eventId,
        data: z.object({ id: eventId, data: event }),
      }).meta({ description: "An event of the subscription, with its id." }),
      Stopped: result({ type: z.literal("stopped") }).meta({
        description: "The subscription has ended.",
      }),
      ...Object.fromEntries(
        calls.map(({ title, answer }) => [
          `${title}Response`,
          result({ type: z.literal("data"), data: answer }),
        ]),
      ),
      RefusalFrame: z.object({ id: z.union([callId, z.null()]), jsonrpc, error: refusal }).meta({
        description: "A refusal of a call, or with `id: null` of a frame or of the connection.",
      }),
      Reconnect: z.object({ id: z.null(), method: z.literal("reconnect") }).meta({
        description:
          "Open a new connection, subscribe there by the last event id, and close this one.",
      }),
    },
  };
}

const connectionParams = z
  .object({
    method: z.literal("connectionParams"),
    data: z
      .object({
        protocol: z
          .string()
          .meta({ description: "the version that the client speaks; absent: 1" })
          .exactOptional(),
        token: z
          .string()
          .meta({ description: "of the last `session` event, to resume that session" })
          .exactOptional(),
        auth: z
          .string()
          .meta({ description: "what the site knows the peer by, if it asks for that" })
          .exactOptional(),
      })
      .catchall(z.string()),
  })
  .meta({ description: "The first frame, where the URL announces it by `?connectionParams=1`." });

function callFrame({ path, type, input }: FramedCall): z.ZodType {
  const params = z.object({ path: z.literal(path), ...(input && { input: inputOf(input) }) });
  return z.object({ id: callId, jsonrpc, method: z.literal(type), params });
}

/** An input without any required field may be left out. */
const inputOf = (input: z.ZodType) => (isOptional(input) ? input.optional() : input);

export const isOptional = (input: z.ZodType) => input.safeParse(undefined).success;
