/** The paths of the OpenAPI document that are not tRPC's queries and mutations, and the parts that paths have in common. */
import type { JsonSchema } from "./definitions.ts";

export const schemaRef = (name: string) => `#/components/schemas/${name}`;

export const json = (schema: JsonSchema) => ({ "application/json": { schema } });

/** An object that has all of these. */
export const object = (properties: JsonSchema): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
});

const text = { "text/plain": { schema: { type: "string" } } };
const retryAfter = {
  "retry-after": { description: "Seconds.", required: true, schema: { type: "integer" } },
};

export const parameters = {
  protocol: {
    name: "x-peer-stream-protocol",
    in: "header",
    description: "The version of the protocol that the client speaks. Absent: 1.",
    schema: { type: "string", pattern: "^[0-9]+$" },
  },
};

/** How a request is refused before anything of tRPC's. */
export const plainResponses = {
  OriginRefused: {
    description: "The page's origin may not connect.",
    content: json(
      object({ error: { const: "origin-not-allowed" }, origin: { type: ["string", "null"] } }),
    ),
  },
  TooManyHandshakes: { description: "Too many handshakes.", headers: retryAfter, content: text },
  NoPlace: { description: "No place, or it shuts down.", headers: retryAfter, content: text },
  NotFound: { description: "There is no such thing, or not for you.", content: text },
};

const refused = {
  403: { $ref: "#/components/responses/OriginRefused" },
  429: { $ref: "#/components/responses/TooManyHandshakes" },
  503: { $ref: "#/components/responses/NoPlace" },
};

/** `/trpc` */
export const socketPath = {
  get: {
    operationId: "socket",
    summary: "Upgrades to the WebSocket, which the AsyncAPI document describes.",
    tags: ["peer"],
    security: [],
    parameters: [
      {
        name: "connectionParams",
        in: "query",
        description: "Announces that the first frame has the connection parameters.",
        schema: { const: "1" },
      },
    ],
    responses: {
      101: { description: "The WebSocket." },
      426: { description: "The request asks for no WebSocket.", content: text },
      ...refused,
    },
  },
};

/** `/trpc/events`, a stream of server-sent events. */
export const eventsPath = (summary: string) => ({
  get: {
    operationId: "events",
    summary,
    tags: ["peer"],
    security: [{}, { session: [] }, { session: [], account: [] }],
    parameters: [
      { $ref: "#/components/parameters/protocol" },
      {
        name: "input",
        in: "query",
        content: json({ $ref: schemaRef("EventsInput") }),
      },
      {
        name: "last-event-id",
        in: "header",
        description: "As `lastEventId` in `input`: resume after this event.",
        schema: { type: "string" },
      },
    ],
    responses: {
      200: {
        description:
          "Server-sent events (https://html.spec.whatwg.org/#server-sent-events), each with JSON as `data`. `x-events` has the schema of each by its `event`; a `message` has an `id`.",
        content: { "text/event-stream": { schema: { type: "string" } } },
        "x-events": {
          connected: object({
            reconnectAfterInactivityMs: {
              type: "integer",
              description: "milliseconds without any event after which the stream counts as lost",
            },
          }),
          message: { $ref: schemaRef("Event") },
          ping: { type: "string", maxLength: 0 },
          "serialized-error": { $ref: schemaRef("Refusal") },
        },
      },
      ...refused,
      default: { $ref: "#/components/responses/Refusal" },
    },
  },
});

const operator = { tags: ["operator"], security: [{ operator: [] }] };

/** What operators ask for that is not tRPC's. */
export const operatorPaths = {
  "/admin": {
    get: {
      operationId: "console",
      summary: "The console of moderators, for a browser. It asks for the token by itself.",
      tags: ["operator"],
      security: [],
      responses: {
        200: { description: "The page.", content: { "text/html": { schema: { type: "string" } } } },
        404: { $ref: "#/components/responses/NotFound" },
      },
    },
  },
  "/admin/decisions": {
    get: {
      ...operator,
      operationId: "admin-decisions",
      summary: "What was decided of reports and subjects, the oldest first.",
      parameters: [
        {
          name: "since",
          in: "query",
          description: "Epoch milliseconds.",
          schema: { type: "integer", minimum: 0 },
        },
        {
          name: "after",
          in: "query",
          description: "The id of the last one that is known.",
          schema: { type: "string" },
        },
        { name: "limit", in: "query", schema: { type: "integer", minimum: 1, default: 1000 } },
      ],
      responses: {
        200: {
          description: "A line of JSON for each (https://jsonlines.org).",
          content: { "application/x-ndjson": { schema: { type: "string" } } },
        },
        400: { description: "A parameter is wrong.", content: text },
        401: { description: "The token is needed.", content: text },
        429: { description: "Too many wrong tokens.", headers: retryAfter, content: text },
        503: { description: "Not at the moment.", headers: retryAfter, content: text },
      },
    },
  },
  "/metrics": {
    get: {
      ...operator,
      operationId: "metrics",
      summary: "Metrics for Prometheus.",
      responses: {
        200: { description: "In Prometheus' text format.", content: text },
        404: { $ref: "#/components/responses/NotFound" },
        429: { description: "Too many wrong tokens.", headers: retryAfter, content: text },
      },
    },
  },
};

const probe = (operationId: string, summary: string, responses: object) => ({
  get: { operationId, summary, tags: ["probe"], security: [], responses },
});

export const probePaths = {
  "/livez": probe("livez", "Whether the process answers.", {
    200: { description: "It does.", content: text },
  }),
  "/readyz": probe("readyz", "Whether this node should get traffic.", {
    200: { description: "It should.", content: text },
    503: { description: "Why it should not.", content: text },
  }),
};
