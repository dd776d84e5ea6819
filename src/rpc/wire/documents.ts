/** The documents of the wire that machines can read: what is served at `/schema/*`, and shipped in the package. */
import type { FactsDeclaration } from "../../protocol/declaration.ts";
import { createAsyncApi } from "./asyncapi.ts";
import type { JsonSchema } from "./definitions.ts";
import { createJsonSchema } from "./json-schema.ts";
import { createOpenApi } from "./openapi.ts";

export interface WireOptions {
  /** The release of the server. */
  release: string;
  /** What a site has declared: `join` is described as it takes it. Default: as any site might. */
  facts?: FactsDeclaration | undefined;
}

/** By file name. */
export function createWireDocuments(options: WireOptions): Readonly<Record<string, JsonSchema>> {
  return {
    "json-schema.json": createJsonSchema(options),
    "asyncapi.json": createAsyncApi(options),
    "openapi.json": createOpenApi(options),
  };
}
