/** The JSON Schema (2020-12) of everything that goes over the wire. */
import { protocolVersion } from "../../protocol.ts";
import { createDefinitions, type JsonSchema, type WireOptions } from "./definitions.ts";

/** A whole value is one text frame of the socket; `$defs` has inputs, answers, events and refusals by name. */
export function createJsonSchema({ facts }: WireOptions): JsonSchema {
  const ref = (name: string) => `#/$defs/${name}`;
  const { schemas } = createDefinitions({ uri: ref, facts });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `urn:peer-stream:protocol:${protocolVersion}`,
    title: "Peer Stream frame",
    description:
      "A frame of the socket at `/trpc`, other than PING and PONG. Clients ignore fields and events that they do not know: later servers of this version may add some. An unknown field of an input is refused.",
    anyOf: [{ $ref: ref("ClientFrame") }, { $ref: ref("ServerFrame") }],
    $defs: schemas,
  };
}
