/** `/schema/*`: where it is served, and what. */
import { afterEach, expect, test } from "bun:test";
import { Elysia } from "elysia";
import { createPeerStream, type PeerStreamOptions } from "../../src/server.ts";
import { fuzzedFacts } from "../support/fuzz.ts";
import { silent } from "../support/host.ts";

const names = ["json-schema.json", "asyncapi.json", "openapi.json"];
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A host that has it under a prefix. */
function startHost(options: PeerStreamOptions) {
  const peerStream = createPeerStream({ log: silent, ...options });
  const host = new Elysia().group("/chat", (app) => app.use(peerStream.plugin)).listen(0);
  ends.push(async () => {
    await peerStream.stop();
    await host.stop(true);
  });
  return (name: string) => fetch(`http://127.0.0.1:${host.server?.port}/chat/schema/${name}`);
}

test.each([
  [{ development: true }, 200],
  [{}, 404],
  [{ serveSchema: true }, 200],
  [{ development: true, serveSchema: false }, 404],
])("with %j each document is answered with %d", async (options, status) => {
  const get = startHost(options);
  for (const name of names) {
    const response = await get(name);
    expect([name, response.status]).toEqual([name, status]);
    await response.text();
  }
  for (const name of ["", "other.json", "..%2fopenapi.json", "toString"])
    expect([name, (await get(name)).status]).toEqual([name, 404]);
});

test("where nothing is declared join takes no facts", async () => {
  const get = startHost({ development: true });
  const { $defs } = (await (await get("json-schema.json")).json()) as {
    $defs: { JoinInput: { properties: { facts: object } } };
  };
  const none = { type: "object", properties: {}, additionalProperties: false };
  expect($defs.JoinInput.properties.facts).toEqual(none);
});

test("they are of this site, with the facts that it has declared, and of this release", async () => {
  const get = startHost({ development: true, facts: fuzzedFacts });
  for (const name of names) {
    const response = await get(name);
    expect(response.headers.get("content-type")).toBe("application/json");
    const text = await response.text();
    expect([name, text.includes('"topics"'), text.includes('"maximum": 99')]).toEqual([
      name,
      true,
      true,
    ]);
  }
  const { info } = (await (await get("openapi.json")).json()) as { info: { version: string } };
  const { version } = (await Bun.file("package.json").json()) as { version: string };
  expect(info.version).toBe(version);
});
