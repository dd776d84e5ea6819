/**
 * Everything that goes over the wire as JSON Schemas by name, made from the zod schemas that check it (inputs) or whose types are those of
 * `protocol.ts` (answers, events, refusals). Three documents share them: JSON Schema, AsyncAPI, OpenAPI.
 */
import { z } from "zod";
import { factLimits, type FactsDeclaration } from "../../protocol/declaration.ts";
import { adminRouter } from "../admin.ts";
import { createAppRouter, type AppRouter } from "../router.ts";
import { eventsInput, joinInput } from "../schemas.ts";
import { adminAnswers } from "./admin-answers.ts";
import { answers, refusal } from "./answers.ts";
import {
  candidate,
  challenge,
  challenges,
  events,
  factValue,
  iceServer,
  peerEvent,
  peerState,
} from "./events.ts";
import { createFrames, isOptional, type FramedCall } from "./frames.ts";

export type JsonSchema = Record<string, unknown>;

type Names<Router extends { _def: { record: object } }> = keyof Router["_def"]["record"] & string;
export type Procedure = Names<AppRouter>;
export type AdminProcedure = Names<typeof adminRouter>;

/** A procedure, with the names of its schemas. */
export interface Call<Name extends string = Procedure> {
  readonly name: Name;
  /** `AddIceCandidate`, with which the names of its frames begin. */
  readonly title: string;
  readonly type: "query" | "mutation";
  /** Absent: it takes none. */
  readonly input: string | undefined;
  /** Whether it may be called without. */
  readonly isInputOptional: boolean;
  readonly answer: string;
}

export interface Definitions {
  readonly schemas: Readonly<Record<string, JsonSchema>>;
  /** All but `events`. */
  readonly calls: readonly Call[];
  readonly adminCalls: readonly Call<AdminProcedure>[];
}

/** What a document is of. */
export interface WireOptions {
  /** The release of the server. */
  release: string;
  /** What a site has declared: `join` is described as it takes it. Default: as any site might. */
  facts?: FactsDeclaration | undefined;
}

interface DefinitionOptions extends Pick<WireOptions, "facts"> {
  /** Where a schema is in the document, as a URI reference. */
  uri: (name: string) => string;
  /** Default: 2020-12. */
  target?: "draft-2020-12" | "draft-7";
}

/** `create-offer` → `CreateOffer`, `addIceCandidate` → `AddIceCandidate` */
const pascal = (name: string) =>
  name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());

const softAfterMs = z.int().min(0).max(factLimits.softAfterMsMax).optional();
const hard = z.boolean().optional();
const firmness = { hard, softAfterMs };

/** `join` of any site. */
const anyJoin = joinInput({}, 0)
  .unwrap()
  .extend({
    facts: z
      .record(z.string(), factValue)
      .meta({ description: "those that the site has declared: see `site`" })
      .optional(),
    wants: z
      .record(
        z.string(),
        z.union([
          z.strictObject({ in: z.array(z.string()).min(1), ...firmness }),
          z.strictObject({ from: z.int().optional(), to: z.int().optional(), ...firmness }),
          z.strictObject({ is: z.boolean(), ...firmness }),
        ]),
      )
      .meta({ description: "of what the site has declared: see `site`" })
      .optional(),
  })
  .prefault({});

/** The schemas of one document, in whose form the references between them are. */
export function createDefinitions({ uri, target, facts }: DefinitionOptions): Definitions {
  const registry = z.registry<{ id: string }>();
  const add: Add = (id, schema) => {
    // One of its own for each name, as some procedures have a schema in common.
    const named = schema.meta({});
    registry.add(named, { id });
    return named;
  };
  const router = createAppRouter({ facts: facts ?? {}, softAfterMs: 0 });
  const inputs = facts ? undefined : { join: anyJoin };
  const calls = framedCalls(router, answers, { add, inputs });
  const adminCalls = framedCalls(adminRouter, adminAnswers, { add, prefix: "Admin" });
  for (const [type, event] of Object.entries(events))
    registry.add(event, { id: `${pascal(type)}Event` });
  // What several of them have in common, so that a generator makes one type of it.
  registry.add(iceServer, { id: "IceServer" });
  registry.add(candidate, { id: "IceCandidate" });
  registry.add(challenge, { id: "Challenge" });
  for (const [id, schema] of Object.entries(challenges)) registry.add(schema, { id });
  registry.add(peerState, { id: "State" });
  registry.add(peerEvent, { id: "Event" });
  registry.add(refusal, { id: "Refusal" });
  const frames = createFrames(calls, {
    eventsInput: add("EventsInput", eventsInput),
    event: peerEvent,
    refusal,
  });
  const ends: [string, Readonly<Record<string, z.ZodType>>][] = Object.entries(frames);
  for (const [end, ofEnd] of ends) {
    for (const [id, frame] of Object.entries(ofEnd)) registry.add(frame, { id });
    add(`${pascal(end)}Frame`, z.union(Object.values(ofEnd)));
  }
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri, ...(target && { target }) });
  return {
    schemas: Object.fromEntries(Object.entries(schemas).map(withoutNames)),
    calls: calls.map(named<Procedure>),
    adminCalls: adminCalls.map(named<AdminProcedure>),
  };
}

type Add = <Schema extends z.ZodType>(id: string, schema: Schema) => Schema;

interface ProcedureDef {
  type: "query" | "mutation" | "subscription";
  inputs: readonly z.ZodType[];
}

/** The queries and mutations of a router, with their schemas. */
function framedCalls(
  router: { _def: { procedures: object } },
  answered: Readonly<Record<string, z.ZodType>>,
  options: { add: Add; prefix?: string; inputs?: Readonly<Record<string, z.ZodType>> | undefined },
): FramedCall[] {
  const { add, prefix = "", inputs = {} } = options;
  const procedures: [string, { _def: ProcedureDef }][] = Object.entries(router._def.procedures);
  return procedures.flatMap(([path, { _def }]) => {
    const { type } = _def;
    if (type === "subscription") return [];
    const title = `${prefix}${pascal(path)}`;
    const input = inputs[path] ?? _def.inputs[0];
    const answer = answered[path];
    if (!answer) throw new Error(`there is no schema of what ${path} answers`);
    return {
      title,
      path,
      type,
      input: input && add(`${title}Input`, input),
      answer: add(`${title}Answer`, answer),
    };
  });
}

const named = <Name extends string>({ title, path, type, input }: FramedCall): Call<Name> => ({
  name: path as Name,
  title,
  type,
  input: input && `${title}Input`,
  isInputOptional: !input || isOptional(input),
  answer: `${title}Answer`,
});

/** A schema within a document has neither a dialect nor a base of its own. */
function withoutNames([name, schema]: [string, object]): [string, JsonSchema] {
  const { $schema: _dialect, $id: _base, ...rest } = schema as JsonSchema;
  return [name, rest];
}
