/** The operator's rules over the wire: what pages are told, and who may join. */
import { expect, test } from "bun:test";
import { limits, type Rules } from "../../src/protocol.ts";
import { challengeOf } from "../support/challenges.ts";
import { connectPeer, httpClient, refusalOf, startServer } from "../support/server.ts";

const rules: Rules = { version: "2", text: "Be kind.", age: 18, required: true };

test("pages are told them, and nothing where there are none", async () => {
  await using server = startServer({ safety: { rules } });
  expect((await httpClient(server).site.query()).rules).toEqual(rules);
  await using other = startServer();
  expect(await httpClient(other).site.query()).not.toHaveProperty("rules");
});

test("where they are required only those join who have agreed to this version", async () => {
  await using server = startServer({ safety: { rules } });
  await using peer = await connectPeer(server);
  const { client } = peer;
  const { required: _, ...told } = rules;
  for (const join of [
    () => client.join.mutate(),
    () => client.join.mutate({ agreed: "1" }),
    () => client.join.mutate({ agreed: "2 " }),
    () => client.skip.mutate(),
  ])
    expect(await challengeOf(join())).toEqual({ kind: "rules", ...told });
  const overLong = "x".repeat(limits.rulesVersionCharsMax + 1);
  for (const agreed of [overLong, "", "\ud800"])
    expect(await refusalOf(client.join.mutate({ agreed }))).toMatchObject({
      reason: "bad-input",
      field: "agreed",
    });
  expect(peer.types).toEqual(["session"]);
  expect(await client.join.mutate({ agreed: "2" })).toEqual({ status: "waiting" });
  expect(await client.skip.mutate()).toEqual({ status: "waiting" });
});

test("where they are not required everybody joins, also with any other version", async () => {
  await using server = startServer({ safety: { rules: { ...rules, required: false } } });
  await using peer = await connectPeer(server);
  expect(await peer.client.join.mutate()).toEqual({ status: "waiting" });
  expect(await peer.client.join.mutate({ agreed: "1" })).toEqual({ status: "waiting" });
});

test("who is in a room may leave it for the next one, whatever the rules are now", async () => {
  await using server = startServer({ safety: { rules } });
  await using ann = await connectPeer(server);
  await using bob = await connectPeer(server);
  for (const { client } of [ann, bob]) await client.join.mutate({ agreed: "2" });
  const { roomId } = await bob.next("create-offer");
  // Another connection of the session, of which nothing is known.
  expect(await httpClient(server, bob.token).skip.mutate({ roomId })).toEqual({
    status: "waiting",
  });
});
