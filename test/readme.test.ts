/** The README's tables are held to the code, row by row. */
import { describe, expect, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { variableNames } from "../src/config.ts";
import { roomInputs, roomStates, roomTable } from "../src/domain/room.ts";
import type { Policy } from "../src/domain/matchmaker.ts";
import { limits, rejectionReasons } from "../src/protocol.ts";
import { codeOf } from "../src/rpc/errors.ts";
import { appRouter } from "../src/rpc/router.ts";
import { createWebhook } from "../src/observe/webhook.ts";
import { createSystem } from "../src/system.ts";
import { closeCodes } from "../src/transport/close-codes.ts";
import { createWorld } from "./support/world.ts";

const readme = await Bun.file(new URL("../README.md", import.meta.url)).text();

/** The cells of the table under a heading, without its head; back-ticks taken off. */
function table(heading: string): string[][] {
  const section = readme.split(new RegExp(`^#+ ${heading}$`, "m"))[1]?.split(/^#/m)[0] ?? "";
  return rowsOf(section);
}

function rowsOf(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("`", "")),
    );
}

const firstCells = (heading: string) => table(heading).map(([cell]) => cell ?? "");

describe("the README", () => {
  test("shows the room's table as the code has it", () => {
    const rows = rowsOf(readme.split("A room's whole life")[1]?.split("\n## ")[0] ?? "");
    const expected = roomStates.map((state) => [
      state,
      ...roomInputs.map((input) => {
        const outcome = roomTable[state][input];
        return typeof outcome === "string" ? outcome : outcome.reason;
      }),
    ]);
    expect(rows).toEqual(expected);
  });

  test("shows a matching policy that works as it says", async () => {
    const source = /```ts\n(import type \{ Policy \}[\s\S]*?)```/.exec(readme)?.[1] ?? "";
    expect(source.trim().split("\n").length).toBeLessThanOrEqual(10);
    const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "policy.ts");
    await Bun.write(file, source);
    const { neighbours } = (await import(file)) as { neighbours: Policy };
    const world = createWorld({ policy: neighbours });
    const [ann, bob, cem] = [
      await world.connect("Ann"),
      await world.connect("Bob"),
      await world.connect("Cem"),
    ];
    await ann.join({ interests: ["jazz"], languages: ["de"] });
    await bob.join({ interests: ["jazz"], languages: ["fr"] });
    expect(bob.roomId()).toBe(ann.roomId());
    await bob.leave();
    await cem.join({ interests: ["go"], languages: ["de"] });
    const dan = await world.connect("Dan");
    await dan.join({ interests: ["jazz", "go"], languages: ["de"] });
    expect(dan.roomId()).toBe(ann.roomId());
  });

  test("lists every procedure", () => {
    const names = Object.keys(appRouter._def.procedures).filter((name) => name !== "events");
    expect(firstCells("Procedures").sort()).toEqual(names.sort());
  });

  test("lists every event", async () => {
    const protocol = await Bun.file(new URL("../src/protocol.ts", import.meta.url)).text();
    const types = [...protocol.matchAll(/type: "([a-z-]+)"/g)].map(([, type]) => type ?? "");
    expect(firstCells("Events").sort()).toEqual([...new Set(types)].sort());
  });

  test("lists every refusal with its code", () => {
    const rows = table("Refusals").map(([reason, code]) => [reason, code]);
    expect(rows).toEqual(rejectionReasons.map((reason) => [reason, codeOf[reason]]));
  });

  test("lists every close code", () => {
    const rows = table("Close codes").map(([code, name]) => [name, Number(code)]);
    expect(rows).toEqual(Object.entries(closeCodes));
  });

  test("lists every variable", () => {
    expect(firstCells("Run it").sort()).toEqual([...variableNames].sort());
  });

  test("lists all that a peer stream has, and nothing else", async () => {
    const surface = await Bun.file(new URL("../src/client/types.ts", import.meta.url)).text();
    const body = surface.split("export interface PeerStream {")[1] ?? "";
    const members = [...body.matchAll(/^  (?:readonly )?(\w+)[(:]/gm)].map(
      ([, name]) => name ?? "",
    );
    const listed = firstCells("With the client library")
      .flatMap((cell) => cell.split(","))
      .map((name) => name.trim().replace("()", ""));
    expect(members.length).toBeGreaterThan(10);
    expect(listed.sort()).toEqual(members.sort());
  });

  test("lists every kind of error that a peer stream is idle with", async () => {
    const state = await Bun.file(new URL("../src/client/state.ts", import.meta.url)).text();
    const union = state.split("export type PeerStreamError")[1]?.split("export type")[0] ?? "";
    const kinds = [...union.matchAll(/kind: "([a-z-]+)"/g)].map(([, kind]) => kind ?? "");
    expect(kinds.length).toBeGreaterThan(5);
    expect(firstCells("When it is idle with an error")).toEqual(kinds);
  });

  test("shows a receiver of reports that knows the server's from others", async () => {
    const source = /```ts\n(import \{ createHmac[\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "receiver.ts");
    await Bun.write(file, source);
    const { isGenuine } = (await import(file)) as {
      isGenuine(body: string, header: string | null, secret: string): boolean;
    };
    const received = Promise.withResolvers<[string, string | null]>();
    using receiver = Bun.serve({
      port: 0,
      async fetch(request) {
        received.resolve([await request.text(), request.headers.get("x-peer-stream-signature")]);
        return new Response();
      },
    });
    const { schedule } = createSystem();
    const secret = "shared with the receiver";
    const url = receiver.url.href;
    createWebhook({ url, secret, schedule, onGivenUp: () => {} }).post({ reason: "spam" });
    const [body, header] = await received.promise;
    expect(isGenuine(body, header, secret)).toBe(true);
    expect(isGenuine(`${body} `, header, secret)).toBe(false);
    expect(isGenuine(body, header, "another secret")).toBe(false);
    expect(isGenuine(body, null, secret)).toBe(false);
  });

  test("names only scripts that there are", async () => {
    const { scripts } = (await Bun.file(new URL("../package.json", import.meta.url)).json()) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/bun(?:@[\d.]+)? run ([\w:]+)/g)].map(
      ([, name]) => name ?? "",
    );
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
  });

  test("states every limit's number", () => {
    const numbers = [...JSON.stringify(table("Limits")).matchAll(/\d+/g)].map(Number);
    for (const limit of Object.values(limits)) expect(numbers).toContain(limit);
  });
});
