/** Two spellings of a word, or two tags of a language, bring peers together through a real server. */
import { describe, expect, test } from "bun:test";
import { connectPeer, startServer } from "../support/server.ts";

describe("C words meet", () => {
  test("C two spellings of an interest are paired before a stranger who waits longer, and told the folded word", async () => {
    await using server = startServer();
    await using stranger = await connectPeer(server);
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await stranger.client.join.mutate({ interests: ["chess"] });
    expect(await alice.client.join.mutate({ interests: ["＃Ja\u200bＺＺ", "موسيقى"] })).toEqual({
      status: "waiting",
    });
    expect(await bob.client.join.mutate({ interests: ["\u2800", "jazz", "موسیقی"] })).toEqual({
      status: "paired",
    });
    const shared = ["jazz", "موسیقی"];
    expect((await alice.next("wait-for-offer")).sharedInterests.toSorted()).toEqual(shared);
    expect((await bob.next("create-offer")).sharedInterests.toSorted()).toEqual(shared);
    expect(stranger.types).not.toContain("wait-for-offer");
  });

  test("C two tags of a language are paired, whatever other tags nobody can read", async () => {
    await using server = startServer();
    await using alice = await connectPeer(server);
    await using bob = await connectPeer(server);
    await using carol = await connectPeer(server);
    const languages = (...tags: string[]) => ({ languages: tags });
    expect(await alice.client.join.mutate(languages("nb-NO"))).toEqual({ status: "waiting" });
    expect(await carol.client.join.mutate(languages("not a tag", "sv"))).toEqual({
      status: "waiting",
    });
    expect(await bob.client.join.mutate(languages("en_US@posix", "no-u-hc-h23"))).toEqual({
      status: "paired",
    });
    await alice.next("wait-for-offer");
    await bob.next("create-offer");
  });
});
