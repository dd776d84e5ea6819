/** The rules of src/README.md, checked by reading every import and global of the sources. */
import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dir, "../../src");

interface Import {
  file: string;
  /** A path under `src`, or a package's name. */
  target: string;
  typeOnly: boolean;
}

const files = await Promise.all(
  [...new Glob("**/*.ts").scanSync(root)].sort().map(async (file) => {
    const text = await Bun.file(join(root, file)).text();
    return {
      file,
      text,
      code: text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, ""),
    };
  }),
);

const imports: Import[] = files.flatMap(({ file, code }) =>
  [...code.matchAll(/^(import|export)\s+(type\s)?([^;]*?\sfrom\s+)?"([^"]+)"/gm)].map(
    ([, , type, names, path]) => {
      const specifier = path ?? "";
      const target = specifier.startsWith(".")
        ? relative(root, join(root, dirname(file), specifier))
        : specifier;
      const members = /\{([\s\S]*)\}/.exec(names ?? "")?.[1]?.split(",") ?? [];
      const allTypes = members.length > 0 && members.every((name) => /^\s*(type\s|$)/.test(name));
      return { file, target, typeOnly: type !== undefined || allTypes };
    },
  ),
);

const inside = (path: string, ...places: string[]) =>
  places.some((place) => path === `${place}.ts` || path.startsWith(`${place}/`));

/** Fails with the law in one sentence and every import that breaks it. */
function forbid(law: string, breaks: (entry: Import) => boolean) {
  test(law, () => {
    const offending = imports
      .filter(breaks)
      .map(({ file, target }) => `src/${file} imports ${target}: ${law}`);
    expect(offending).toEqual([]);
  });
}

function forbidText(law: string, pattern: RegExp, allowed: (file: string) => boolean) {
  test(law, () => {
    const offending = files
      .filter(({ file }) => !allowed(file))
      .flatMap(({ file, code }) =>
        code
          .split("\n")
          .flatMap((line) => (pattern.test(line) ? [`src/${file}: ${line.trim()}: ${law}`] : [])),
      );
    expect(offending).toEqual([]);
  });
}

describe("the rules of the source", () => {
  test("there are sources to hold them against", () => {
    expect(files.length).toBeGreaterThan(20);
    expect(imports.length).toBeGreaterThan(60);
  });

  forbid(
    "domain imports only domain and protocol",
    ({ file, target }) => inside(file, "domain") && !inside(target, "domain", "protocol"),
  );
  forbid("protocol imports nothing", ({ file }) => file === "protocol.ts");
  forbid(
    "what is declared knows only the protocol",
    ({ file, target }) => inside(file, "protocol") && !inside(target, "protocol"),
  );
  forbid(
    "engine knows nothing of rpc, trpc-ws, http, signaling, config and app",
    ({ file, target }) =>
      inside(file, "engine") &&
      inside(target, "rpc", "trpc-ws", "http", "signaling", "config", "app", "main", "program"),
  );
  forbid(
    "only app creates engines",
    ({ file, target, typeOnly }) =>
      inside(target, "engine") &&
      !typeOnly &&
      !inside(file, "engine", "app") &&
      // What the doctor, a program of its own, has to know.
      !/^engine\/redis\/(keys|faults|rights|locat(ion|or)|(cluster|sentinel)-location)\.ts$/.test(
        target,
      ),
  );
  forbid(
    "trpc-ws knows nothing of this project: it could be published as it is",
    ({ file, target }) =>
      inside(file, "trpc-ws") &&
      !inside(target, "trpc-ws") &&
      !target.startsWith("@trpc/server") &&
      target !== "bun",
  );
  forbid(
    "http knows nothing of domain, engine, signaling, rpc and app",
    ({ file, target }) =>
      inside(file, "http") && inside(target, "domain", "engine", "signaling", "rpc", "app"),
  );
  forbid(
    "only app and the adapter of its tRPC plugin know Elysia",
    ({ file, target }) =>
      /^(elysia|@elysiajs\/.*)$/.test(target) &&
      !inside(file, "app") &&
      file !== "http/trpc-http.ts",
  );
  forbid(
    "only app, the binding to Bun, the page and the hasher know Bun",
    ({ file, target }) =>
      /^(bun|bun:.*)$/.test(target) &&
      !inside(file, "app") &&
      !["trpc-ws/bun.ts", "http/page.ts", "hmac.ts"].includes(file),
  );
  forbid(
    "rpc knows neither Bun nor Elysia, nor how it is served",
    ({ file, target }) =>
      inside(file, "rpc") &&
      (inside(target, "http", "app", "main", "program") || /^(elysia|bun)/.test(target)),
  );
  forbid(
    "nothing that peers need loads the documents of the wire: what serves them imports them with the first request",
    ({ file, target, typeOnly }) =>
      inside(target, "rpc/wire") &&
      !typeOnly &&
      !inside(file, "rpc/wire") &&
      file !== "build-packages.ts",
  );
  forbid(
    "client and web take types, and protocol; no server code reaches the browser",
    ({ file, target, typeOnly }) =>
      inside(file, "client", "web") &&
      !typeOnly &&
      !inside(target, "client", "web", "protocol") &&
      !target.startsWith("@trpc/client") &&
      !(file === "client/react.ts" && target === "react") &&
      !/\.(css|svg)$/.test(target),
  );
  forbid(
    "client knows nothing of web",
    ({ file, target }) => inside(file, "client") && inside(target, "web"),
  );

  const impure = (file: string) =>
    file === "system.ts" ||
    file === "program.ts" ||
    file === "doctor.ts" ||
    // Passes its environment on to the server that it starts.
    file === "bin.ts" ||
    // Supplies the defaults of the library, for those who have no clock to pass.
    file === "trpc-ws/trpc-ws.ts" ||
    inside(file, "client", "web");
  /** Who reads the wall clock, and why; every deadline, rate and bound goes by a clock that never steps. */
  const readsWallClock: Readonly<Record<string, string>> = {
    "system.ts": "is where it is",
    "doctor.ts": "looks at it",
    "app/peer-stream.ts": "signs tokens, which other nodes verify",
    "app/jwt.ts": "compares the times in tokens with it, which others sign",
    "app/arrivals.ts": "looks when what an operator has granted ends",
    "app/expiry.ts": "compares it with the end of what an operator has granted",
    "app/operator-routes.ts": "compares an operator's `until` with it",
    "signaling/signaling.ts": "signs credentials for TURN, which coturn verifies",
    "signaling/event-completion.ts": "signs credentials for TURN, which coturn verifies",
    "signaling/reports.ts": "dates reports",
    "engine/memory/suspensions.ts": "keeps suspensions, whose end is told",
    "signaling/talk.ts": "dates messages",
    "observe/log-sink.ts": "dates a line of the log",
    "observe/traces.ts": "dates spans, which other nodes and systems send as well",
    "engine/memory/surroundings.ts": "tells peers times, and when a suspension ends",
    "engine/memory/lifecycle-queue.ts": "dates what an operator is told",
    "client/session-runner.ts": "dates chat messages and the start of the search, for the page",
    "web/again-view.ts": "compares with it until when the client offers to meet again",
    "client/sleep-detector.ts":
      "finds out that the machine has slept: the monotonic clock may stand still then",
  };
  forbidText(
    "only those files read the wall clock that say why",
    /\b(system\.now|Date\.now|new Date\(\))/,
    (file) => Object.hasOwn(readsWallClock, file) || inside(file, "doctor"),
  );
  forbidText(
    "clock, randomness, timers and the environment are touched in system, program, doctor, client and web alone",
    /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|process\.env|Bun\.env|import\.meta\.env|randomBytes|randomUUID|getRandomValues)\b/,
    impure,
  );
  test("no file imports itself by way of others, not even for types", () => {
    const targets = Map.groupBy(imports, ({ file }) => file);
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      const start = path.indexOf(file);
      if (start >= 0) circles.push([...path.slice(start), file].join(" → "));
      if (start >= 0 || done.has(file)) return;
      for (const { target } of targets.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const { file } of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  test("only platform.ts uses what a browser has and React Native has not, so that options replace it", () => {
    const browserOnly = [
      "window document navigator location localStorage sessionStorage",
      "WebSocket RTCPeerConnection RTCRtpSender RTCRtpReceiver MediaStream",
      "addEventListener removeEventListener globalThis crypto",
      "Event EventTarget MessageEvent CloseEvent AbortSignal CustomEvent",
    ].flatMap((names) => names.split(" "));
    // Not as a member, a key or a method; types are gone once it is transpiled.
    const bare = new RegExp(
      `(?<![\\w.$#])(${browserOnly.join("|")})\\b(?!\\s*:|\\([\\w, ]*\\) \\{)`,
    );
    const allowed: Readonly<Record<string, string>> = {
      "client/platform.ts": "is where they are",
      "client/page-peers.ts": "keeps what all copies of the library on one page share",
      "client/proof-of-work.ts": "serves a worker's own scope",
    };
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    const found = files
      .filter(({ file }) => inside(file, "client"))
      .flatMap(({ file, text }) =>
        transpiler
          .transformSync(text)
          .split("\n")
          .filter((line) => bare.test(line.replace(/"[^"]*"|(?<=`|})[^`$]*(?=`|\$\{)/g, "")))
          .map((line) => ({ file, line: line.trim() })),
      );
    expect(found.filter(({ file }) => !Object.hasOwn(allowed, file))).toEqual([]);
    // Or the search finds nothing.
    for (const file of Object.keys(allowed))
      expect(found.some((one) => one.file === file)).toBe(true);
  });
  forbidText(
    "Redis' client is loaded only with REDIS_URL: nothing of the server outside its engine imports it but by import()",
    /from "(@redis\/client|[./]*engine\/redis\/[^"]*)"/,
    (file) => inside(file, "engine/redis", "doctor"),
  );
  forbidText(
    "OpenTelemetry is loaded only where there is a receiver: only traces.ts imports it, and nothing imports that but for its types",
    /^import (?!type ).*from "(@opentelemetry\/|[./]*observe\/traces\.ts)/,
    (file) => file === "observe/traces.ts",
  );
  forbidText("no module-level mutable state", /^(export )?(let|var)\s/, () => false);
  forbidText("no default exports", /^export default\b/, () => false);
  /** What packages export is a promise to others: it is listed by name, apart from the files that may change. */
  const entries = ["server.ts", "client/index.ts"];
  forbidText(
    "no barrels but for the entries of packages: a file exports only what it defines",
    /^export\s+(\*|(type\s+)?\{)/,
    (file) => entries.includes(file),
  );
  forbidText("an entry names what it exports", /^export\s+\*/, () => false);
});

/**
 * What each limit is kept by, and why a stranger can't have as many of these as it likes. A room is no such key: it costs
 * nothing to make.
 */
const limiters: Readonly<Record<string, [key: string, reason: string]>> = {
  "http/admission.ts": [
    "address bucket",
    "an IPv4 address or IPv6 /64 is what a stranger has few of",
  ],
  "rpc/address-activity.ts": ["address bucket", "who makes many sessions has few addresses"],
  "rpc/call-limits.ts": [
    "account or session; over HTTP without one the address; on a socket without one the socket",
    "a session lasts as long as its socket, and sockets and handshakes are limited by address",
  ],
  "rpc/operator-access.ts": ["address bucket", "who guesses tokens has few addresses"],
  "domain/moderation.ts": [
    "network",
    "an IPv6 /48 is one party's, and an IPv4 /24 rarely more than a few",
  ],
  "domain/change.ts": ["account", "the operator decides who has one"],
  "observe/sparing-log.ts": ["kind of line", "there are as many as the code has"],
};

test("each limit is on a list, with what it is kept by and why that is no key that a stranger makes for nothing", () => {
  const found = files
    .filter(({ file }) => !["domain/token-bucket.ts", "rate-limiter.ts"].includes(file))
    .filter(({ code }) => /\b(takeToken\(|new RateLimiter\()/.test(code))
    .map(({ file }) => file);
  expect(found.sort()).toEqual(Object.keys(limiters).sort());
  for (const [key, reason] of Object.values(limiters)) {
    expect(key).not.toMatch(/\broom\b/);
    expect(reason.length).toBeGreaterThan(10);
  }
});

describe("sizes", () => {
  const linesOfFile = 400;
  const linesOfFunction = 80;
  /** Exceptions, each with its reason. */
  const exceptions: Readonly<Record<string, string>> = {};

  test("no file has more than 400 lines and no function more than 80, but for exceptions with a reason", async () => {
    const config = join(await mkdtemp(join(tmpdir(), "peer-stream-")), "sizes.json");
    await Bun.write(
      config,
      JSON.stringify({
        categories: { correctness: "off" },
        rules: {
          "max-lines": ["error", { max: linesOfFile }],
          "max-lines-per-function": ["error", { max: linesOfFunction }],
        },
      }),
    );
    const oxlint = join(root, "../node_modules/.bin/oxlint");
    const { stdout } = Bun.spawnSync([oxlint, "--config", config, "--format", "unix", root]);
    const found = stdout
      .toString()
      .split("\n")
      .filter((line) => line.includes("max-lines"));
    const excused = ([, file = ""]: RegExpExecArray) => Object.hasOwn(exceptions, file);
    expect(
      found.filter((line) => {
        const match = /src\/([\w/.-]+):/.exec(line);
        return !match || !excused(match);
      }),
    ).toEqual([]);
    for (const file of Object.keys(exceptions))
      expect(found.some((line) => line.includes(`src/${file}:`))).toBe(true);
  });
});

test("no support file of the tests registers hooks when it is imported, except the preloaded one", async () => {
  const support = join(import.meta.dir, "../support");
  const registering: string[] = [];
  for (const file of new Glob("**/*.ts").scanSync(support)) {
    const text = await Bun.file(join(support, file)).text();
    if (/^(before|after)(Each|All)\(/m.test(text)) registering.push(file);
  }
  // They would hold for the first test file only that imports it in a run.
  expect(registering).toEqual(["cleanup.ts"]);
});
