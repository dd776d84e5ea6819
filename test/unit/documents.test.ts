/** The tables and examples of the documents are held to the code, row by row. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { variableNames } from "../../src/config.ts";
import { lifecycleTypes } from "../../src/domain/lifecycle.ts";
import { roomInputs, roomStates, roomTable } from "../../src/domain/room.ts";
import type { Policy } from "../../src/domain/matchmaker.ts";
import { limits, rejectionReasons } from "../../src/protocol.ts";
import { codeOf } from "../../src/rpc/errors.ts";
import { createAppRouter } from "../../src/rpc/router.ts";
import { createWebhook } from "../../src/observe/webhook.ts";
import { createSystem } from "../../src/system.ts";
import { closeCodes } from "../../src/trpc-ws/close-codes.ts";
import { createWorld } from "../support/world.ts";
import {
  clientReference,
  documents,
  operating,
  readme,
  wireProtocol,
} from "../support/documents.ts";
import { root } from "../support/root.ts";
import { documentedTree, sourceTree } from "../support/source-tree.ts";

/** The cells of the table under a heading, without its head; back-ticks taken off. */
function table(document: string, heading: string): string[][] {
  const section = document.split(new RegExp(`^#+ ${heading}$`, "m"))[1]?.split(/^#/m)[0] ?? "";
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

const firstCells = (document: string, heading: string) =>
  table(document, heading).map(([cell]) => cell ?? "");

describe("the documents", () => {
  test("shows the room's table as the code has it", () => {
    const rows = rowsOf(readme.split("The life of a room is a table")[1]?.split("\n## ")[0] ?? "");
    const expected = roomStates.map((state) => [
      state,
      ...roomInputs.map((input) => {
        const outcome = roomTable[state][input];
        return typeof outcome === "string" ? outcome : outcome.reason;
      }),
    ]);
    expect(rows).toEqual(expected);
  });

  test("show a matching policy that does what is said of it", async () => {
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

  test("show the tree of the sources as it is", async () => {
    // `bun test/support/source-tree.ts` writes it.
    const tree = await sourceTree();
    expect(await documentedTree()).toBe(tree);
    // Each file begins with a comment that says what it is for.
    expect(tree.match(/^ *\S+\.(ts|css|lua)$/gm) ?? []).toEqual([]);
  });

  test("have a README of at most 200 lines", () => {
    expect(readme.split("\n").length).toBeLessThanOrEqual(201);
  });

  test("link only to files and headings that exist", async () => {
    const slug = (heading: string) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-");
    const folders = {
      readme: "",
      operating: "src/app",
      clientReference: "src/client",
      wireProtocol: "src/rpc",
      architecture: "src",
    };
    for (const [name, text] of Object.entries(documents))
      for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [path = "", anchor] = link.split("#");
        const folder = folders[name as keyof typeof folders];
        const target = path === "" ? text : undefined;
        const file = join(root, folder, path);
        expect([name, link, target !== undefined || existsSync(file)]).toEqual([name, link, true]);
        if (anchor === undefined) continue;
        const headings = [...(target ?? (await Bun.file(file).text())).matchAll(/^#+ (.*)$/gm)];
        expect([name, link, headings.map(([, heading = ""]) => slug(heading))]).toEqual([
          name,
          link,
          expect.arrayContaining([anchor]),
        ]);
      }
  });

  test("list every option of a peer stream", async () => {
    const optionsIn = async (file: string, name: string) => {
      const source = await Bun.file(join(root, "src/client", file)).text();
      const body = source.split(new RegExp(`export interface ${name}[^{]*\\{`))[1]?.split(/^}/m)[0];
      const options = [...(body ?? "").matchAll(/^  (\w+)\??:/gm)].map(
        ([, option]) => option ?? "",
      );
      expect(options.length).toBeGreaterThan(3);
      return options;
    };
    const options = [
      ...(await optionsIn("peer-stream.ts", "PeerStreamOptions")),
      ...(await optionsIn("platform.ts", "PlatformOptions")),
    ];
    expect(firstCells(clientReference, "Options").sort()).toEqual(options.sort());
  });

  test("list every state of a peer stream", async () => {
    const state = await Bun.file(join(root, "src/client/state.ts")).text();
    const union = state.split("export type PeerStreamState")[1]?.split("export type")[0] ?? "";
    const statuses = [...union.matchAll(/status: "([a-z]+)"/g)].map(([, status]) => status ?? "");
    expect(firstCells(clientReference, "States")).toEqual(statuses);
  });

  test("lists every procedure", () => {
    const router = createAppRouter({ facts: {}, softAfterMs: 0 });
    const names = Object.keys(router._def.procedures).filter((name) => name !== "events");
    expect(firstCells(wireProtocol, "Procedures").sort()).toEqual(names.sort());
  });

  test("lists every event", async () => {
    const protocol = await Bun.file(join(root, "src/protocol.ts")).text();
    const types = [...protocol.matchAll(/type: "([a-z-]+)"/g)].map(([, type]) => type ?? "");
    expect(firstCells(wireProtocol, "Events").sort()).toEqual([...new Set(types)].sort());
  });

  test("lists every refusal with its code", () => {
    const rows = table(wireProtocol, "Refusals").map(([reason, code]) => [reason, code]);
    expect(rows).toEqual(rejectionReasons.map((reason) => [reason, codeOf[reason]]));
  });

  test("lists every close code", () => {
    const rows = table(wireProtocol, "Close codes").map(([code, name]) => [name, Number(code)]);
    expect(rows).toEqual(Object.entries(closeCodes));
  });

  test("names transcripts that there are, for each step of a client", () => {
    const rows = table(wireProtocol, "Building a client, in this order");
    expect(rows.map(([step]) => step)).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
    for (const name of rows.flatMap((row) => row[3]?.split(", ") ?? "")) {
      const file = join(root, "test/transcripts", `${name}.txt`);
      expect([name, existsSync(file)]).toEqual([name, true]);
    }
  });

  test("lists every variable", () => {
    expect(firstCells(operating, "As a program").sort()).toEqual([...variableNames].sort());
  });

  test("states every variable's default as .env.example has it", async () => {
    const example = await Bun.file(join(root, ".env.example")).text();
    const defaults = new Map(
      [...example.matchAll(/^#([A-Z_]+)=(.+)$/gm)].map(([, name, value]) => [name, value]),
    );
    const stated = table(operating, "As a program").filter(([name]) => defaults.has(name));
    expect(stated.length).toBeGreaterThan(20);
    for (const [name, text = ""] of stated)
      expect([name, /^\S+?(?=[,;]?(?:\s|$))/.exec(text)?.[0]]).toEqual([name, defaults.get(name)]);
    const graceS = Number(defaults.get("GRACE_MS")) / 1000;
    expect(wireProtocol).toContain(`\`GRACE_MS\` (${graceS} s by default)`);
  });

  test("list every event of a peer stream", async () => {
    const state = await Bun.file(join(root, "src/client/state.ts")).text();
    const union = state.split("export type PeerStreamEvent")[1]?.split(/^export /m)[0] ?? "";
    const types = [...union.matchAll(/type: "([a-z-]+)"/g)].map(([, type]) => type ?? "");
    expect(types.length).toBeGreaterThan(1);
    expect(firstCells(clientReference, "Events")).toEqual(types);
  });

  test("lists all that a peer stream has, and nothing else", async () => {
    const surface = await Bun.file(join(root, "src/client/types.ts")).text();
    const body = surface.split(/export interface PeerStream<.*> \{/)[1] ?? "";
    const members = [...body.matchAll(/^  (?:readonly )?(\w+)[(:]/gm)].map(
      ([, name]) => name ?? "",
    );
    const listed = firstCells(clientReference, "Methods")
      .flatMap((cell) => cell.split(","))
      .map((name) => name.trim().replace("()", ""));
    expect(members.length).toBeGreaterThan(10);
    expect(listed.sort()).toEqual(members.sort());
  });

  test("lists every kind of error that a peer stream is idle with", async () => {
    const state = await Bun.file(join(root, "src/client/state.ts")).text();
    const union = state.split("export type PeerStreamError")[1]?.split("export type")[0] ?? "";
    const kinds = [...union.matchAll(/kind: "([a-z-]+)"/g)].map(([, kind]) => kind ?? "");
    expect(kinds.length).toBeGreaterThan(5);
    expect(firstCells(clientReference, "Errors")).toEqual(kinds);
  });

  test("shows a receiver of reports that knows the server's from others", async () => {
    const source = /```ts\n(import \{ createHmac[\s\S]*?)```/.exec(operating)?.[1] ?? "";
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

  test("shows a receiver of lifecycle events that takes each once, and none that is forged", async () => {
    const [isGenuine = "", receiver = ""] = [
      /```ts\n(import \{ createHmac[\s\S]*?)```/,
      /```ts\n(const known = [\s\S]*?)```/,
    ].map((pattern) => pattern.exec(operating)?.[1]);
    const file = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "receiver.ts");
    const secret = "shared with the receiver";
    const source = receiver.replace("port: 8080", "port: 0").replace("console.log", "notes.push");
    const notes = `const secret = "${secret}";\nexport const notes: string[] = [];\n`;
    await Bun.write(file, `${isGenuine}${notes}${source}export { receiver };\n`);
    const shown = (await import(file)) as { notes: string[]; receiver: Bun.Server<undefined> };
    const { schedule } = createSystem();
    const post = async (key: string, id: string) => {
      const givenUp: string[] = [];
      const onGivenUp = (why: string) => void givenUp.push(why);
      const url = shown.receiver.url.href;
      const webhook = createWebhook({ url, secret: key, schedule, onGivenUp });
      const posting = webhook.post({ id, type: "paired" });
      await webhook.flush();
      await posting;
      return givenUp.length === 0;
    };
    expect(await post(secret, "1")).toBe(true);
    expect(await post(secret, "1")).toBe(true);
    expect(await post("another secret", "2")).toBe(false);
    await shown.receiver.stop(true);
    expect(shown.notes).toEqual(["paired", JSON.stringify({ id: "1", type: "paired" })]);
  });

  test("lists every type of a lifecycle event with its fields", async () => {
    const source = await Bun.file(join(root, "src/domain/lifecycle.ts")).text();
    const fieldsOf = (type: string) => {
      const [, body = ""] =
        new RegExp(`extends Told<"${type}"> \\{([\\s\\S]*?)\\n\\}`).exec(source) ?? [];
      return [...body.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => name);
    };
    const [, section = ""] = operating.split("\n## Lifecycle events\n");
    const [ofEvents = ""] = section.split("\n## ");
    const rows = [...ofEvents.matchAll(/^\| `(\w+)` *\|([^|]*)\|/gm)].map(
      ([, type = "", fields = ""]) => [
        type,
        // What is in parentheses are values.
        [...fields.replaceAll(/\([^)]*\)/g, "").matchAll(/`(\w+)`/g)].map(([, name]) => name),
      ],
    );
    expect(rows).toEqual(lifecycleTypes.map((type) => [type, fieldsOf(type)]));
  });

  test("names only scripts that there are", async () => {
    const { scripts } = (await Bun.file(join(root, "package.json")).json()) as {
      scripts: Record<string, string>;
    };
    const named = [
      ...Object.values(documents)
        .join("\n")
        .matchAll(/bun(?:@[\d.]+)? run ([\w:]+)/g),
    ].map(([, name]) => name ?? "");
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
  });

  test("states every limit's number", () => {
    const numbers = [...JSON.stringify(table(wireProtocol, "Limits")).matchAll(/\d+/g)].map(Number);
    for (const limit of Object.values(limits)) expect(numbers).toContain(limit);
  });
});
