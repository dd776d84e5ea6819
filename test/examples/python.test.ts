/** A client in another language: replays all transcripts, and chats with a page in Chromium over a network that cuts it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Glob } from "bun";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setStage } from "../e2e/stage.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { readTranscript } from "../support/transcript.ts";
import { startTranscriptServer } from "../support/transcript-server.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(60_000);

/** Debian's, which has its package `python3-websockets`. */
const python = "/usr/bin/python3";
const folder = join(import.meta.dir, "python");
const transcripts = join(root, "test/transcripts");

test("it is typed Python 3.11 of at most 400 lines, and imports one package besides the standard library", async () => {
  const text = await Bun.file(join(folder, "client.py")).text();
  expect(text.split("\n").length).toBeLessThanOrEqual(401);
  await Bun.$`${python} -W error -m py_compile client.py replay.py`.cwd(folder).env(own).quiet();
  const check = `
import ast, sys
tree = ast.parse(open("client.py").read())
names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
names |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
print(sorted(names - sys.stdlib_module_names))
functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
print([n.name for n in functions if n.returns is None or any(not a.annotation for a in n.args.args if a.arg != "self")])`;
  const printed = await Bun.$`${python} -c ${check}`.cwd(folder).text();
  expect(printed).toBe("['websockets']\n[]\n");
});

test("the client does what each transcript says", async () => {
  await using servers = new AsyncDisposableStack();
  const files = [...new Glob("*.txt").scanSync(transcripts)].sort();
  const pairs = await Promise.all(
    files.map(async (file) => {
      const path = join(transcripts, file);
      const lines = readTranscript(await Bun.file(path).text());
      const server = servers.use(startTranscriptServer({ lines, timeoutMs: 20_000 }));
      return { file, path, server };
    }),
  );
  const given = pairs.flatMap(({ path, server }) => [path, server.url]);
  const client = await Bun.$`${python} replay.py ${given}`.cwd(folder).env(own).nothrow().quiet();
  const wrong = await Promise.all(
    pairs.map(async ({ file, server }) => {
      const deviation = await server.played;
      return deviation === undefined ? [] : [`${file}: ${deviation}`];
    }),
  );
  expect({ client: client.stderr.toString(), servers: wrong.flat() }).toEqual({
    client: "",
    servers: [],
  });
  expect(files.length).toBeGreaterThan(30);
});

test("it chats with a page in Chromium, loses nothing to a network that cuts it, and reports", async () => {
  const adminToken = "the token of the operator";
  await using stage = await setStage({
    ALLOW_NO_ORIGIN: "true",
    ADMIN_TOKEN: adminToken,
    CHALLENGE: "on",
    CHALLENGE_DIFFICULTY: "2",
  });
  let cutOn = "";
  await using network = await createTcpProxy(new URL(stage.origin), (chunk) => {
    const isCut = cutOn !== "" && chunk.includes(cutOn);
    if (isCut) cutOn = "";
    return isCut;
  });
  const alice = await stage.enter();
  await alice.page.getByRole("radio", { name: "Text" }).check();
  await alice.start();
  await alice.until("waiting");
  await using client = startClient(`${network.ws}/trpc`);
  await alice.until("connected");
  await client.prints("it is paired", ({ type }) => type?.endsWith("-offer") === true);

  await alice.say("from the page 0");
  await client.prints("the page's words", ({ text }) => text === "from the page 0");
  for (let n = 1; n <= 3; n++) {
    network.refuse(true);
    network.cut();
    await client.prints("it has noticed", () => client.count("connection-lost") >= n);
    await alice.say(`from the page ${n}`);
    client.types(`from Python ${n}`);
    network.refuse(false);
    await client.prints("it is back", () => client.count("session") > n);
    await alice.reads(`from Python ${n}`);
    await client.prints("the page's words", ({ text }) => text === `from the page ${n}`);
  }
  // The answer to what it says is lost, and then what it is told.
  cutOn = '"delivered":true';
  client.types("from Python 4");
  await client.prints("it is answered", ({ typed }) => typed === "from Python 4");
  cutOn = '"type":"message"';
  await alice.say("from the page 4");
  await client.prints("the page's words", ({ text }) => text === "from the page 4");
  expect(client.count("connection-lost")).toBe(5);
  const sessions = client.printed.filter(({ type }) => type === "session");
  expect(sessions.map(({ resumed }) => resumed)).toEqual([false, true, true, true, true, true]);
  const received = client.printed.filter(({ type }) => type === "message");
  expect(received.map(({ text }) => text)).toEqual(
    [0, 1, 2, 3, 4].map((n) => `from the page ${n}`),
  );
  const read = [...(await alice.log()).matchAll(/from Python (\d)/g)].map(([, n]) => Number(n));
  expect(read).toEqual([1, 2, 3, 4]);

  client.types("/report");
  const reported = await client.prints("the report", ({ typed }) => typed === "/report");
  expect(reported.answer).toEqual({ accepted: true, caseId: expect.any(String) });
  client.types("/case");
  const undecided = await client.prints("the case", ({ typed }) => typed === "/case");
  expect(undecided.answer).toEqual({});
  const closed = await fetch(`${stage.origin}/admin/dismiss`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ caseId: reported.answer?.["caseId"] }),
  });
  expect(await closed.text()).toContain("true");
  client.types("/case");
  const decided = await client.prints(
    "the decision",
    ({ answer }) => answer?.["decision"] === "none",
  );
  expect(decided.answer).toEqual({ decision: "none", at: expect.any(Number) });
  client.types("/quit");
  expect(await client.ended).toBe(0);
  expect(await stage.clear()).toEqual([]);
});

/** What a program that uses the client prints. */
const runPython = (program: string, url: string) =>
  Bun.$`timeout 20 ${python} -c ${program} ${url}`.cwd(folder).env(own).nothrow().text();

test.each([
  "no JSON",
  "[",
  "{}",
  "[]",
  "7",
  '{"id":null,"error":{}}',
  '{"id":1,"result":{"type":"data","id":"1","data":{"data":{}}}}',
  '{"id":1,"result":{"type":"data"}}',
  '{"id":1,"error":{"message":"","data":{"retryAfterMs":"soon"}}}',
])("what is no server of the protocol ends it: %p", async (frame) => {
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, it) => (it.upgrade(request) ? undefined : new Response(null, { status: 400 })),
    websocket: {
      // The one without an end is also too deep.
      open: (socket) => void socket.send(frame === "[" ? frame.repeat(100_000) : frame),
      message() {},
    },
  });
  const program = `
import asyncio, sys
from client import Ended, PeerStream
async def main():
    async with PeerStream(sys.argv[1]) as peer:
        async for event in peer.events():
            print(event)
        try:
            await peer.join()
        except Ended:
            print("ended")
asyncio.run(main())`;
  expect(await runPython(program, `ws://127.0.0.1:${server.port}/`)).toBe("ended\n");
});

test("it comes back however long the server was away, and whatever a proxy says of when", async () => {
  let refused = 0;
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, it) {
      const headers = { "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT" };
      if ((refused += 1) <= 2) return new Response(null, { status: 503, headers });
      return it.upgrade(request) ? undefined : new Response(null, { status: 400 });
    },
    websocket: { message() {} },
  });
  const program = `
import asyncio, sys
from client import PeerStream
async def main():
    peer = PeerStream(sys.argv[1], delay_s=1e-6)
    peer._attempt = 5000  # After half a day.
    async with peer:
        await peer.connected()
        print("connected")
asyncio.run(main())`;
  expect(await runPython(program, `ws://127.0.0.1:${server.port}/`)).toBe("connected\n");
});

test("it leaves when there is nothing more to read", async () => {
  await using server = await startServer({ ALLOW_NO_ORIGIN: "true", DRAIN_MS: "500" });
  const url = `${server.origin.replace("http", "ws")}/trpc`;
  const printed = await Bun.$`timeout 20 ${python} client.py ${url} < /dev/null`
    .cwd(folder)
    .env(own)
    .text();
  expect(printed).not.toContain("typed");
});

/** What Python compiles is not left beside the sources. */
const own = { ...process.env, PYTHONPYCACHEPREFIX: join(tmpdir(), "peer-stream-python") };

interface Printed {
  type?: string;
  text?: string;
  resumed?: boolean;
  typed?: string;
  answer?: Record<string, unknown>;
}

function startClient(url: string) {
  const child = Bun.spawn([python, "client.py", url], {
    cwd: folder,
    env: own,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const printed: Printed[] = [];
  const read = async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      printed.push(...lines.map((line) => JSON.parse(line) as Printed));
    }
  };
  const complaints = new Response(child.stderr).text();
  void read();
  return {
    printed,
    ended: child.exited,
    count: (type: string) => printed.filter((one) => one.type === type).length,
    types(line: string) {
      child.stdin.write(`${line}\n`);
      child.stdin.flush();
    },
    async prints(what: string, is: (one: Printed) => boolean): Promise<Printed> {
      await until(what, () => printed.some(is), 20_000).catch(async (cause) => {
        child.kill();
        throw new Error(`${JSON.stringify(printed)}\n${await complaints}`, { cause });
      });
      return printed.findLast(is) as Printed;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}
