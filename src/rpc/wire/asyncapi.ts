/** The AsyncAPI 3 document of the socket, as seen from the server: it receives calls, and sends answers and events. */
import { limits, protocolVersion } from "../../protocol.ts";
import { closeCodes } from "../../trpc-ws/close-codes.ts";
import { createDefinitions, type Call, type JsonSchema, type WireOptions } from "./definitions.ts";
import { closeMeanings, meanings } from "./meanings.ts";

const schema = (name: string) => `#/components/schemas/${name}`;
const channel = { $ref: "#/channels/trpc" };
/** A message of the channel. */
const message = (name: string) => ({ $ref: `#/channels/trpc/messages/${name}` });

/** Messages that are no answers to calls of one procedure, and what they are. */
const frames = {
  ConnectionParams: "The first frame: who connects.",
  Subscribe: "Opens the stream of events.",
  Unsubscribe: "Ends a subscription.",
  Batch: "Several calls in one frame.",
  Started: "A subscription is open.",
  EventFrame: "An event, tracked by its id.",
  Stopped: "A subscription has ended.",
  RefusalFrame: "A call is refused.",
  Reconnect: "The client is asked for another connection.",
} as const;

const texts = {
  Ping: "PING",
  Pong: "PONG",
} as const;

export function createAsyncApi({ release, facts }: WireOptions): JsonSchema {
  const { schemas, calls } = createDefinitions({ uri: schema, target: "draft-7", facts });
  const messages = {
    ...Object.fromEntries(
      Object.entries(frames).map(([name, summary]) => jsonMessage(name, summary)),
    ),
    ...Object.fromEntries(
      calls.flatMap(({ name, title }) => [
        jsonMessage(`${title}Call`, meanings[name]),
        jsonMessage(`${title}Response`, `What \`${name}\` is answered.`),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [
        name,
        { contentType: "text/plain", payload: { type: "string", const: text } },
      ]),
    ),
  };
  return {
    asyncapi: "3.0.0",
    id: `urn:peer-stream:protocol:${protocolVersion}:socket`,
    info: {
      title: "Peer Stream: the socket",
      version: release,
      description: about,
      license: { name: "MIT" },
      "x-protocol": protocolVersion,
    },
    defaultContentType: "application/json",
    channels: {
      trpc: {
        address: "/trpc",
        title: "tRPC v11 over one WebSocket",
        description: aboutChannel(),
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
        bindings: { ws: binding },
        "x-close-codes": Object.entries(closeCodes).map(([name, code]) => ({
          code,
          name,
          reconnect: code < 4500,
          meaning: closeMeanings[name as keyof typeof closeCodes],
        })),
        "x-limits": limits,
      },
    },
    operations: { ...operationsOf(calls), ...ownOperations },
    components: {
      schemas: withoutAdmin(schemas),
      messages,
      correlationIds: {
        call: { description: "The id of the call.", location: "$message.payload#/id" },
      },
    },
  };
}

const about = `Everything that a peer sends and is sent over its WebSocket. Clients ignore fields, events and close codes that they do not know, as later servers of this version of the protocol (${protocolVersion}) may add some; an unknown field of an input is refused.`;

const aboutChannel = () =>
  [
    "A browser's page needs an `Origin` that the server accepts. With `?connectionParams=1` the first frame has to be `ConnectionParams`, within 10 s.",
    "Each call has an id, and is answered once under it; frames may be batches, whose calls are answered one by one.",
    "`events` is a subscription: `Started`, then an `EventFrame` for each event, until `Stopped` or a refusal. After a reconnect subscribe with the last event's id as `lastEventId`.",
    "Either end sends the text PING, and the other answers PONG: a socket that has been silent for 10 s is pinged, and closed after another 5 s.",
    "Close codes from 4000 to 4499 mean reconnect, from 4500 to 4999 do not.",
  ].join("\n\n");

/** https://github.com/asyncapi/bindings/tree/master/websockets */
const binding = {
  bindingVersion: "0.1.0",
  method: "GET",
  query: {
    type: "object",
    properties: {
      connectionParams: {
        type: "string",
        enum: ["1"],
        description: "announces that the first frame has the connection parameters",
      },
    },
  },
};

function jsonMessage(name: string, summary: string): [string, JsonSchema] {
  const hasId = !["ConnectionParams", "Batch", "Reconnect"].includes(name);
  return [
    name,
    {
      name,
      summary,
      payload: { $ref: schema(name) },
      ...(hasId && { correlationId: { $ref: "#/components/correlationIds/call" } }),
    },
  ];
}

const operationsOf = (calls: readonly Call[]) =>
  Object.fromEntries(
    calls.map(({ name, title, type }) => [
      name,
      {
        action: "receive",
        channel,
        summary: meanings[name],
        messages: [message(`${title}Call`)],
        reply: { channel, messages: [message(`${title}Response`), message("RefusalFrame")] },
        "x-type": type,
      },
    ]),
  );

const ownOperations = {
  connect: {
    action: "receive",
    channel,
    summary: "The connection parameters, before all else.",
    messages: [message("ConnectionParams")],
    reply: { channel, messages: [message("RefusalFrame")] },
  },
  events: {
    action: "receive",
    channel,
    summary: meanings.events,
    messages: [message("Subscribe")],
    reply: {
      channel,
      messages: ["Started", "EventFrame", "Stopped", "RefusalFrame"].map(message),
    },
    "x-type": "subscription",
  },
  unsubscribe: {
    action: "receive",
    channel,
    summary: "Ends a subscription, which is answered with `Stopped`.",
    messages: [message("Unsubscribe")],
    reply: { channel, messages: [message("Stopped")] },
  },
  batch: {
    action: "receive",
    channel,
    summary: "Several calls in one frame, each answered in a frame of its own.",
    messages: [message("Batch")],
  },
  askToReconnect: {
    action: "send",
    channel,
    summary: "The node is about to shut down, or the peer has to authenticate again.",
    messages: [message("Reconnect")],
  },
  ping: {
    action: "send",
    channel,
    summary: "Whether the client is still there.",
    messages: [message("Ping")],
    reply: { channel, messages: [message("Pong")] },
  },
  pinged: {
    action: "receive",
    channel,
    summary: "Whether the server is still there.",
    messages: [message("Ping")],
    reply: { channel, messages: [message("Pong")] },
  },
};

/** The operator's calls are made over HTTP alone. */
const withoutAdmin = (schemas: Readonly<Record<string, JsonSchema>>) =>
  Object.fromEntries(Object.entries(schemas).filter(([name]) => !name.startsWith("Admin")));
