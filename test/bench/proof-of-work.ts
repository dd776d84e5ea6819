/**
 * How long a proof of work takes in Chromium: `bun test/bench/proof-of-work.ts [difficulty]` (default 150). At full speed, and with the
 * browser's processes stopped for three quarters of the time, as a stand-in for a phone: Lighthouse takes a mid-range one to be four times
 * slower than a desktop. The devtools' own throttling slows down a page's own thread only, and neither workers nor WebCrypto.
 */
import { join } from "node:path";
import { createProofOfWork } from "../../src/rpc/proof-of-work.ts";
import type { createBlobWorker } from "../../src/client/proof-of-work.ts";
import { launchBrowser } from "../support/browser.ts";
import { root } from "../support/root.ts";

const difficulty = Number(process.argv[2] ?? 150);
const rounds = 20;
const slowerBy = 4;
const sliceMs = 20;

const { outputs } = await Bun.build({
  entrypoints: [join(root, "src/client/proof-of-work.ts")],
  target: "browser",
});
const code = await outputs[0]?.text();
using server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  routes: {
    "/solver.js": new Response(code, { headers: { "content-type": "text/javascript" } }),
    "/": new Response('<!doctype html><link rel="icon" href="data:,">', {
      headers: { "content-type": "text/html" },
    }),
  },
});
await using browser = await launchBrowser({ camera: "none" });
const page = await browser.open(server.url.href);
const proof = createProofOfWork({
  secrets: ["a secret of the measurement"],
  difficulty,
  now: Date.now,
});

interface Solved {
  ms: number;
  tries: number;
}

async function solve(): Promise<Solved> {
  const { parameters } = await proof.create("a session");
  return page.evaluate(async (given) => {
    const path = "/solver.js";
    const { createBlobWorker: create } = (await import(path)) as {
      createBlobWorker: typeof createBlobWorker;
    };
    const worker = create();
    const begin = performance.now();
    const counter = await new Promise<number>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data.counter);
      worker.postMessage(given);
    });
    worker.terminate();
    return { ms: performance.now() - begin, tries: counter + 1 };
  }, parameters);
}

/** Stops the processes of the browser's pages most of the time, until the returned function is called. */
async function throttle(): Promise<() => void> {
  const session = await browser.browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const signal = (name: NodeJS.Signals) => {
    for (const pid of pids) process.kill(pid, name);
  };
  let isOver = false;
  let runningMs = 0;
  const begin = performance.now();
  const cycle = async () => {
    while (!isOver) {
      signal("SIGSTOP");
      await Bun.sleep((slowerBy - 1) * sliceMs);
      signal("SIGCONT");
      const since = performance.now();
      await Bun.sleep(sliceMs);
      runningMs += performance.now() - since;
    }
  };
  void cycle();
  return () => {
    isOver = true;
    signal("SIGCONT");
    const share = runningMs / (performance.now() - begin);
    console.log(`(they ran for ${(100 * share).toFixed()} % of the time)`);
  };
}

async function measure(name: string): Promise<void> {
  const solved: Solved[] = [];
  for (let n = 0; n < rounds; n++) solved.push(await solve());
  const perTry = solved.map(({ ms, tries }) => ms / tries).sort((a, b) => a - b);
  const median = perTry[rounds / 2] ?? Number.NaN;
  console.log(
    `${name}: ${median.toFixed(2)} ms a try (best ${perTry[0]?.toFixed(2)}), ` +
      `${Math.round(median * difficulty)} ms on average with difficulty ${difficulty}, ` +
      `${Math.round(2 * median * difficulty)} ms at most`,
  );
}

await solve();
await measure("at full speed");
const end = await throttle();
await measure(`stopped for ${slowerBy - 1} of ${slowerBy} parts of the time`);
end();
