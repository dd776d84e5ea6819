/** The published JSON Schema, but with no room for what it does not list: so that a field which is sent and not described is found. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { createJsonSchema } from "../../src/rpc/wire/json-schema.ts";
import type { FactsDeclaration } from "../../src/protocol/declaration.ts";

export interface WireSchema {
  /** What is wrong with a value, by the schema of this name; nothing if it is none. */
  faults(name: string, value: unknown): string[];
}

export function createWireSchema(facts?: FactsDeclaration): WireSchema {
  const schema = closed(createJsonSchema({ release: "1.2.3", facts })) as { $id: string };
  const ajv = new Ajv2020({ strict: false }).addSchema(schema);
  const validators = new Map<string, ValidateFunction>();
  return {
    faults(name, value) {
      const validate = validators.get(name) ?? ajv.getSchema(`${schema.$id}#/$defs/${name}`);
      if (!validate) throw new Error(`there is no schema ${name}`);
      validators.set(name, validate);
      if (validate(value) === true) return [];
      const why = (validate.errors ?? []).map((error) => ({ at: error.instancePath, ...error }));
      return [`${JSON.stringify(value)} is no ${name}: ${JSON.stringify(why).slice(0, 2000)}`];
    },
  };
}

/** With `additionalProperties: false` in every object whose properties are listed, unless it says something else. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== "object" || node === null) return node;
  const entries = Object.entries(node).map(([name, value]) => [name, closed(value)]);
  const object = Object.fromEntries(entries) as Record<string, unknown>;
  const isListed = object["type"] === "object" && typeof object["properties"] === "object";
  return isListed ? { additionalProperties: false, ...object } : object;
}
