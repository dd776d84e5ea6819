/** The OpenAPI 3.1 document of the HTTP side: tRPC's queries and mutations, the stream of events, and what operators ask for. */
import { limits, protocolVersion } from "../../protocol.ts";
import {
  createDefinitions,
  type Call,
  type Definitions,
  type JsonSchema,
  type WireOptions,
} from "./definitions.ts";
import { adminMeanings, meanings } from "./meanings.ts";
import {
  eventsPath,
  json,
  object,
  operatorPaths,
  parameters,
  plainResponses,
  probePaths,
  schemaRef,
  socketPath,
} from "./openapi-paths.ts";

export function createOpenApi({ release, facts }: WireOptions): JsonSchema {
  const definitions = createDefinitions({ uri: schemaRef, facts });
  const { calls, adminCalls } = definitions;
  return {
    openapi: "3.1.0",
    info: {
      title: "Peer Stream over HTTP",
      version: release,
      description: about,
      license: { name: "MIT", identifier: "MIT" },
      "x-protocol": protocolVersion,
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "peer", description: "The calls of a peer, as over the socket." },
      { name: "operator", description: "For those who run the site." },
      { name: "probe", description: "For load balancers." },
    ],
    paths: {
      "/trpc": socketPath,
      "/trpc/events": eventsPath(meanings.events),
      ...Object.fromEntries(calls.map((call) => [`/trpc/${call.name}`, peerPath(call)])),
      "/trpc/{calls}": batchPath(calls),
      ...Object.fromEntries(adminCalls.map((call) => [`/admin/${call.name}`, adminPath(call)])),
      ...operatorPaths,
      ...probePaths,
    },
    components: componentsOf(definitions),
  };
}

const about = [
  "Queries, mutations and the stream of events over HTTP, as tRPC v11 makes them, and what operators ask for.",
  "A query is a GET with its input as JSON in `input`, a mutation a POST with its input as the body. A query may also be made by POST, with its input as the body. A method that a procedure does not take is answered with 405, a body that is not declared as JSON with 415.",
  `Clients ignore fields, events and reasons that they do not know, as later servers of this version of the protocol (${protocolVersion}) may add some; an unknown field of an input is refused.`,
].join("\n\n");

/** `site` and `stats` need no session; a token that is not valid is refused all the same. */
const peerPath = (call: Call) =>
  callPath(call, {
    operationId: call.name,
    summary: meanings[call.name],
    tags: ["peer"],
    security: call.name === "site" || call.name === "stats" ? [{}, ...ofSession] : ofSession,
    parameters: [{ $ref: "#/components/parameters/protocol" }],
  });

const adminPath = (call: Definitions["adminCalls"][number]) =>
  callPath(call, {
    operationId: `admin-${call.name}`,
    summary: adminMeanings[call.name],
    tags: ["operator"],
    security: [{ operator: [] }],
    parameters: [],
  });

const ofSession = [{ session: [] }, { session: [], account: [] }];

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly parameters: readonly object[];
}

function callPath({ type, input, isInputOptional, answer }: Call<string>, described: Described) {
  const content = input === undefined ? undefined : json({ $ref: schemaRef(input) });
  const required = !isInputOptional;
  const responses = {
    200: { description: "The answer.", content: json(envelopeOf(answer)) },
    default: { $ref: "#/components/responses/Refusal" },
  };
  if (type === "query") {
    const inUrl = content ? [{ name: "input", in: "query", required, content }] : [];
    return {
      get: { ...described, parameters: [...described.parameters, ...inUrl], responses },
    };
  }
  return {
    post: { ...described, ...(content && { requestBody: { required, content } }), responses },
  };
}

const envelopeOf = (answer: string) =>
  object({ result: object({ data: { $ref: schemaRef(answer) } }) });

/** Several calls in one request: their names with commas between, and inputs and answers by their place. */
function batchPath(calls: readonly Call[]): JsonSchema {
  const batch = (type: Call["type"]) => {
    const ofType = calls.filter((call) => call.type === type);
    const inputs = ofType.flatMap(({ input }) => input ?? []);
    return {
      calls: {
        name: "calls",
        in: "path",
        required: true,
        description: `At most ${limits.httpBatchCallsMax} names with commas between.`,
        schema: { type: "string" },
        example: ofType
          .slice(0, 2)
          .map(({ name }) => name)
          .join(","),
      },
      byPlace: json({
        type: "object",
        description: "Inputs by the place of their call, from 0; `{}` without any.",
        additionalProperties: { anyOf: inputs.map((input) => ({ $ref: schemaRef(input) })) },
      }),
      operation: {
        operationId: `batch-${type}`,
        summary: `Several calls in one request, each of them a ${type}.`,
        tags: ["peer"],
        security: [{}, ...ofSession],
        responses: batchResponses(ofType),
      },
    };
  };
  const flag = { name: "batch", in: "query", required: true, schema: { const: "1" } };
  const protocol = { $ref: "#/components/parameters/protocol" };
  const [queries, mutations] = [batch("query"), batch("mutation")];
  const input = { name: "input", in: "query", required: true, content: queries.byPlace };
  return {
    get: { ...queries.operation, parameters: [queries.calls, flag, protocol, input] },
    post: {
      ...mutations.operation,
      parameters: [mutations.calls, flag, protocol],
      requestBody: { required: true, content: mutations.byPlace },
    },
  };
}

function batchResponses(calls: readonly Call[]): JsonSchema {
  const content = json({
    type: "array",
    items: {
      anyOf: [
        { $ref: schemaRef("RefusalEnvelope") },
        ...calls.map(({ answer }) => envelopeOf(answer)),
      ],
    },
  });
  return {
    200: { description: "An answer for each call, in their order.", content },
    207: {
      description: "Answers and refusals, of several statuses, in the order of the calls.",
      content,
    },
    default: {
      description: "A refusal for each call, or one of the whole request.",
      content: json({
        anyOf: [
          { type: "array", items: { $ref: schemaRef("RefusalEnvelope") } },
          { $ref: schemaRef("RefusalEnvelope") },
        ],
      }),
    },
  };
}

/** What belongs to the socket alone is left out. */
function componentsOf({ schemas }: Definitions): JsonSchema {
  const ofSocket =
    /(Frame|Response|Call)$|^(ConnectionParams|Subscribe|Unsubscribe|Batch|Started|Stopped|Reconnect)$/;
  return {
    schemas: {
      ...Object.fromEntries(Object.entries(schemas).filter(([name]) => !ofSocket.test(name))),
      RefusalEnvelope: object({ error: { $ref: schemaRef("Refusal") } }),
    },
    responses: {
      Refusal: {
        description: "A refusal in tRPC's shape. The status is `error.data.httpStatus`.",
        content: json({ $ref: schemaRef("RefusalEnvelope") }),
      },
      ...plainResponses,
    },
    parameters,
    securitySchemes: {
      session: {
        type: "http",
        scheme: "bearer",
        description: "The token of the last `session` event.",
      },
      account: {
        type: "apiKey",
        in: "header",
        name: "x-peer-stream-auth",
        description:
          "What the site knows the peer by, if it asks for that; it may also use cookies.",
      },
      operator: {
        type: "http",
        scheme: "bearer",
        description: "`ADMIN_TOKEN`, or for `/metrics` `METRICS_TOKEN`.",
      },
    },
  };
}
