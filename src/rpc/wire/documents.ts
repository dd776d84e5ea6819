/** The documents of the wire that machines can read: what is served at `/schema/*`, and shipped in the package. */
import { createAsyncApi } from "./asyncapi.ts";
import type { JsonSchema, WireOptions } from "./definitions.ts";
import { createJsonSchema } from "./json-schema.ts";
import { createOpenApi } from "./openapi.ts";

/** By file name. */
export function createWireDocuments(options: WireOptions): Readonly<Record<string, JsonSchema>> {
  return {
    "json-schema.json": createJsonSchema(options),
    "asyncapi.json": createAsyncApi(options),
    "openapi.json": createOpenApi(options),
  };
}
