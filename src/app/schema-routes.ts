/** `/schema/*`: the documents of the wire for authors of clients, of this site with the facts that it has declared. */
import { Elysia } from "elysia";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import { textResponse } from "./responses.ts";
import { version } from "../../package.json";

export interface SchemaParts {
  /** Default: false. */
  servesSchema?: boolean;
  /** What this site has declared. Default: nothing. */
  facts?: FactsDeclaration | undefined;
}

/** Made with the first request, and loaded then: no peer needs them. */
export function schemaRoutes({ servesSchema = false, facts = {} }: SchemaParts) {
  const routes = new Elysia();
  if (!servesSchema) return routes;
  let texts: Promise<ReadonlyMap<string, string>> | undefined;
  return routes.get("/schema/:name", async ({ params: { name } }) => {
    const text = (await (texts ??= loadTexts(facts))).get(name);
    return text === undefined
      ? textResponse("Not found\n", 404)
      : new Response(text, { headers: { "content-type": "application/json" } });
  });
}

async function loadTexts(facts: FactsDeclaration): Promise<Map<string, string>> {
  const { createWireDocuments } = await import("../rpc/wire/documents.ts");
  const documents = createWireDocuments({ release: version, facts });
  return new Map(
    Object.entries(documents).map(([name, it]) => [name, JSON.stringify(it, null, 2)]),
  );
}
