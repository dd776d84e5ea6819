/** The examples of the library's README, run as they are printed but for the port; and its table of options. */
import { afterEach, expect, test } from "bun:test";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import { initTRPC } from "@trpc/server";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { defaultInitTimeoutMs, defaultLimits } from "../../../src/trpc-ws/options.ts";
import { closeCodes } from "../../../src/trpc-ws/close-codes.ts";
import { freePort } from "../../support/ports.ts";
import { root } from "../../support/root.ts";
import { until } from "../../support/until.ts";

const readme = await Bun.file(join(root, "src/trpc-ws/README.md")).text();
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
const example = (mark: string) => {
  const found = examples.filter((code) => code.includes(mark));
  expect([mark, found.length]).toEqual([mark, 1]);
  return found[0] ?? "";
};

const t = initTRPC.context<object>().create();
/** What both examples have together, for the client's types. */
const router = t.router({
  whoAmI: t.procedure.query((): string | null => null),
  hello: t.procedure.query(() => ""),
});

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

/** Runs an example as a process; resolves with a client once it listens. */
async function run(code: string, headers: Record<string, string>) {
  const port = await freePort();
  // Inside the repository, so that its imports are found.
  const folder = await mkdtemp(join(root, "node_modules/.example-"));
  cleanups.push(async () => rm(folder, { recursive: true }));
  const file = join(folder, "example.ts");
  await Bun.write(
    file,
    code
      .replaceAll("3000", String(port))
      .replace('"peer-stream/trpc-ws"', `"${join(root, "src/trpc-ws/trpc-ws.ts")}"`),
  );
  const child = Bun.spawn([process.execPath, file], { stdout: "inherit", stderr: "inherit" });
  cleanups.push(async () => {
    child.kill();
    await child.exited;
  });
  await until("the example listens", async () => {
    const { status } = await fetch(`http://127.0.0.1:${port}/trpc`);
    return status === 426;
  });
  const socket = createWSClient({
    url: `ws://127.0.0.1:${port}/trpc`,
    WebSocket: class extends WebSocket {
      constructor(url: string | URL) {
        // Bun's own addition to the standard.
        super(url, { headers } as never);
      }
    },
  });
  cleanups.push(async () => socket.close());
  return {
    client: createTRPCClient<typeof router>({ links: [wsLink({ client: socket })] }),
    /** The status that a handshake with these headers is answered with. */
    statusFor: (given: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const handshake = {
          connection: "upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        };
        get({ port, path: "/trpc", headers: { ...handshake, ...given } })
          .on("response", ({ statusCode }) => resolve(statusCode))
          .on("upgrade", ({ statusCode }, opened) => {
            opened.destroy();
            resolve(statusCode);
          })
          .on("error", reject);
      }),
  };
}

const linesOf = (code: string) => code.trim().split("\n").length;

test("ten lines for Bun are a server", async () => {
  const code = example("Bun.serve(");
  expect(linesOf(code)).toBeLessThanOrEqual(10);
  const { client } = await run(code, { cookie: "alice" });
  expect(await client.whoAmI.query()).toBe("alice");
});

test("ten lines for Elysia are a server", async () => {
  const code = example("new Elysia(");
  expect(linesOf(code)).toBeLessThanOrEqual(10);
  const { client } = await run(code, {});
  expect(await client.hello.query()).toBe("Hello");
});

test("the check of the origin lets in the one, and nobody else", async () => {
  const server = example("Bun.serve(");
  const admit = /^ {2}admit:[\s\S]*?\}\),?\n/m.exec(example("admit:"))?.[0] ?? "";
  expect(admit).toContain("https://example.com");
  const code = server.replace("  router,\n", `  router,\n${admit}`);
  const { client, statusFor } = await run(code, {
    origin: "https://example.com",
    cookie: "alice",
  });
  expect(await client.whoAmI.query()).toBe("alice");
  expect(await statusFor({ origin: "https://example.com" })).toBe(101);
  expect(await statusFor({ origin: "https://evil.example" })).toBe(403);
  expect(await statusFor({})).toBe(403);
});

test("the table has every option with the default that the code has", async () => {
  const rows = readme
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim().replaceAll("`", "")));
  const documented = new Map(rows.map(([, name = "", , value = ""]) => [name, value]));
  const sources = await Promise.all(
    ["options.ts", "trpc-ws.ts", "bun.ts"].map((file) =>
      Bun.file(join(root, "src/trpc-ws", file)).text(),
    ),
  );
  const membersOf = (name: string) => {
    const body = sources
      .map((text) => text.split(new RegExp(`interface ${name}\\b[^{]*\\{`))[1]?.split(/^}/m)[0])
      .find((text) => text !== undefined);
    return [...(body ?? "").matchAll(/^ {2}(\w+)\??:/gm)].map(([, member = ""]) => member);
  };
  const options = [
    ...membersOf("TrpcWebSocketOptions").filter((name) => !["limits", "keepAlive"].includes(name)),
    "admit",
    "defer",
    ...membersOf("TrpcWebSocketLimits").map((name) => `limits.${name}`),
    ...membersOf("SocketLimits").map((name) => `limits.${name}`),
    ...membersOf("KeepAliveOptions").map((name) => `keepAlive.${name}`),
  ];
  expect(options.length).toBeGreaterThan(15);
  expect([...documented.keys()].flatMap((name) => name.split(", ")).sort()).toEqual(options.sort());
  const { calls, ...limits } = defaultLimits;
  for (const [name, value] of Object.entries(limits))
    expect([name, documented.get(`limits.${name}`)]).toEqual([name, String(value)]);
  expect(documented.get("limits.calls")).toBe(`${calls.perS}/s, burst ${calls.burst}`);
  expect(documented.get("initTimeoutMs")).toBe(String(defaultInitTimeoutMs));
  const codes = [...readme.matchAll(/closed with (\d+)/g)].map(([, code]) => Number(code));
  expect(codes.length).toBeGreaterThan(3);
  for (const code of codes) expect(Object.values<number>(closeCodes)).toContain(code);
});
