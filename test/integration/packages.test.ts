/** Both packages as those meet them who install them: what is in them, that they stand alone, and that the command starts. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createOutsideProject,
  packageFolders,
  packPackages,
  run,
  type OutsideProject,
  type Tarballs,
} from "../support/outside-project.ts";
import { root } from "../support/root.ts";
import { startServer } from "../support/server-process.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(120_000);

const names = ["peer-stream", "peer-stream-client"] as const;
type Name = (typeof names)[number];

let packed: string;
let tarballs: Tarballs;
/** A project with both. */
let project: OutsideProject;
beforeAll(async () => {
  packed = await mkdtemp(join(tmpdir(), "peer-stream-packed-"));
  tarballs = await packPackages(packed);
  project = await createOutsideProject({
    ...tarballs,
    "@types/bun": "1.4.5",
    "@types/react": "19.3.0",
    react: "19.3.1",
    "react-dom": "19.3.1",
  });
  await project.run(["bun", "install"]);
});
afterAll(async () => {
  await project[Symbol.asyncDispose]();
  await rm(packed, { recursive: true, force: true });
});

interface Manifest {
  private?: boolean;
  version: string;
  sideEffects?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional: boolean }>;
  [field: string]: unknown;
}

const installed = (name: Name) => join(project.folder, "node_modules", name);
const manifestOf = (name: Name): Promise<Manifest> =>
  Bun.file(join(installed(name), "package.json")).json();

describe.each(names)("the package %s", (name) => {
  test("says what it is, and is public", async () => {
    const manifest = await manifestOf(name);
    const told = [
      "description",
      "keywords",
      "license",
      "homepage",
      "bugs",
      "repository",
      "engines",
    ];
    for (const field of told) expect([field, manifest[field]]).not.toEqual([field, undefined]);
    expect(manifest.private).toBeUndefined();
    expect(manifest.version).toBe((await manifestOf("peer-stream")).version);
  });

  test("contains what is run, its types, and nothing else", async () => {
    const files = await filesOf(name);
    const code =
      name === "peer-stream"
        ? /^dist\/(server\/[\w-]+\.(js|js\.map|html|css|svg)|(types|app-router)\/[\w/-]+\.d\.ts|app-router\/index\.js|observe\/(dashboard\.json|alerts\.yaml)|schema\/[\w-]+\.json|transcripts\/([\w-]+\.txt|README\.md|serve-transcript\.js(\.map)?))$/
        : /^([\w-]+\.(js|js\.map)|types\/[\w/-]+\.d\.ts)$/;
    const others = files.filter((file) => !code.test(file));
    expect(others.sort()).toEqual(["LICENSE", "README.md", "package.json"]);
  });

  test("has a source map with the source for all that it runs", async () => {
    for (const file of await filesOf(name)) {
      if (!file.endsWith(".js") || file.endsWith("app-router/index.js")) continue;
      const { sources, sourcesContent } = (await Bun.file(
        join(installed(name), `${file}.map`),
      ).json()) as { sources: string[]; sourcesContent: (string | null)[] };
      expect(sourcesContent).toHaveLength(sources.length);
      expect(sourcesContent.every((source) => typeof source === "string")).toBe(true);
    }
  });

  test("imports only what it declares", async () => {
    const { dependencies, optionalDependencies, peerDependencies } = await manifestOf(name);
    const declared = new Set([
      ...Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }),
      // What Bun has; its types are those of the optional peer @types/bun.
      ...(name === "peer-stream" ? ["bun", ...builtinModules] : []),
    ]);
    const imported = new Set<string>();
    for (const file of await filesOf(name))
      // The page is bundled, and names its own files.
      for (const path of await importsOf(join(installed(name), file)))
        if (!/^[./]/.test(path)) imported.add(packageName(path));
    expect([...imported].filter((path) => !declared.has(path))).toEqual([]);
    expect(imported.has("@trpc/server")).toBe(true);
    const unused = Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (path) => !imported.has(path),
    );
    expect(unused).toEqual([]);
  });

  test("has declarations that do without what is optional", async () => {
    const { optionalDependencies = {} } = await manifestOf(name);
    for (const file of await filesOf(name)) {
      if (!file.endsWith(".d.ts")) continue;
      const text = await Bun.file(join(installed(name), file)).text();
      for (const optional of Object.keys(optionalDependencies))
        expect([file, text.includes(`"${optional}"`)]).toEqual([file, false]);
    }
  });

  test("is one that npm would publish", async () => {
    const publish = ["npm", "publish", "--dry-run", "--ignore-scripts"];
    expect(await run(packageFolders(join(packed, "sources"))[name], publish)).toContain(
      `+ ${name}@`,
    );
  });

  test("is well-formed, as publint and @arethetypeswrong/cli see it", async () => {
    const bin = (program: string) => join(root, "node_modules/.bin", program);
    await run(packed, [bin("publint"), "--strict", tarballs[name]]);
    // ES modules only: Node has loaded them by `require` since version 22.
    await run(packed, [bin("attw"), tarballs[name], "--profile", "esm-only"]);
  });
});

test("the package serves its transcripts to a client under test, and says which step it waited for", async () => {
  const folder = "node_modules/peer-stream/dist/transcripts";
  const command = ["bun", `${folder}/serve-transcript.js`, `${folder}/ping.txt`, "--timeout=1"];
  const printed = await project.run(command).catch(String);
  expect(printed).toMatch(/ws:\/\/127\.0\.0\.1:\d+\/trpc\s/);
  expect(printed).toMatch(/line \d+: waited for "alice opens a socket"/);
});

test("the client brings nothing along, and may be left out of a bundle", async () => {
  const manifest = await manifestOf("peer-stream-client");
  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.sideEffects).toBe(false);
  expect(Object.keys(manifest.peerDependencies ?? {})).toEqual([
    "@trpc/client",
    "@trpc/server",
    "react",
  ]);
  expect(manifest.peerDependenciesMeta).toEqual({ react: { optional: true } });
});

test("the type of the router imports nothing but @trpc/server", async () => {
  const folder = join(installed("peer-stream"), "dist/app-router");
  const packages = new Set<string>();
  for (const file of new Bun.Glob("**/*.d.ts").scanSync(folder))
    for (const path of await importsOf(join(folder, file)))
      if (!path.startsWith(".")) packages.add(packageName(path));
  expect([...packages]).toEqual(["@trpc/server"]);
});

const clientSource = `
import { createPeerStream, type AppRouter, type PeerEvent, type PeerStream } from "peer-stream-client";
import { usePeerStream } from "peer-stream-client/react";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";

export const client = createTRPCClient<AppRouter>({ links: [wsLink({ client: createWSClient({ url: "" }) })] });
export const subscription = client.events.subscribe(undefined, { onData: ({ id, data }) => id + narrow(data) });
// @ts-expect-error: interests are words
export const wrong = client.join.mutate({ interests: [1] });
// @ts-expect-error: there is no such procedure
export const none = client.nothing;
const facts = { region: { kind: "one", of: ["eu", "us"] } } as const;
export const withFacts = createTRPCClient<AppRouter<typeof facts>>({ links: [] });
export const joined = withFacts.join.mutate({ facts: { region: "eu" }, wants: { region: { in: ["us"], hard: true } } });
// @ts-expect-error: there is no such value
export const nowhere = withFacts.join.mutate({ facts: { region: "mars" } });
// @ts-expect-error: there is no such dimension
export const ageless = withFacts.join.mutate({ wants: { age: { from: 3 } } });
export const peer: PeerStream = createPeerStream({ url: "" });
peer.start({ facts: { region: "eu" }, wants: { region: { in: ["us"] } } });
export const typed = createPeerStream<typeof facts>({ url: "" });
typed.start({ facts: { region: "eu" }, wants: { region: { in: ["us"], hard: true } }, lobby: "jazz" });
// @ts-expect-error: there is no such value
typed.start({ facts: { region: "mars" } });
// @ts-expect-error: there is no such dimension
typed.start({ wants: { age: { from: 3 } } });
export function useStatus(): string {
  const { state, local, peer } = usePeerStream({ url: "", onEvent: (event) => event.type });
  peer.start();
  return state.status + String(local?.id);
}
export function useTyped(): PeerStream<typeof facts> {
  const { peer } = usePeerStream<typeof facts>();
  // @ts-expect-error: there is no such value
  peer.start({ wants: { region: { in: ["mars"] } } });
  return peer;
}
function narrow(event: PeerEvent): string {
  return event.type === "session" ? event.token : event.type;
}
`;

const serverSource = `
import { createPeerStream, readConfig, refuse } from "peer-stream/server";
import * as binding from "peer-stream/trpc-ws";
import type { AppRouter } from "peer-stream";
import type { AppRouter as TheSame } from "peer-stream-client";

export const same: AppRouter extends TheSame ? true : never = true;
export const strangers = createPeerStream({ facts: { region: { kind: "one", of: ["eu"] } }, admit: (_, { facts }) => facts?.region === "eu" || refuse("suspended") });
export const library = { createPeerStream, config: readConfig({}), binding };
`;

const compilers = { "5.7": "typescript-5.7", "5.9": "typescript-5.9", "7.0": "typescript" };
const modes = ["bundler", "node16", "nodenext"] as const;

describe.each(Object.keys(compilers) as (keyof typeof compilers)[])("TypeScript %s", (version) => {
  test("is the one meant", async () => {
    const { version: found } = (await Bun.file(
      join(root, "node_modules", compilers[version], "package.json"),
    ).json()) as { version: string };
    expect(found).toStartWith(`${version}.`);
  });

  // Which file is found is up to the way of resolving, and what is in it up to the version: not each is tried with each.
  test.each(version === "5.7" ? modes : modes.slice(-1))(
    "checks the client and its declarations, resolved as by %s",
    async (...[moduleResolution]) => {
      expect(
        await typeErrors(project, "client.ts", clientSource, version, moduleResolution),
      ).toEqual([]);
    },
  );

  // Elysia's declarations take the older compilers long: only the oldest looks at them, resolved in one way.
  test.each({ "5.7": modes.slice(-1), "5.9": [], "7.0": modes }[version])(
    "finds no fault in the server's declarations, resolved as by %s",
    async (...[moduleResolution]) => {
      const errors = await typeErrors(
        project,
        "server.ts",
        serverSource,
        version,
        moduleResolution,
      );
      // Those of Elysia and of Bun have some.
      const own = /^(server\.ts|node_modules\/peer-stream)/;
      expect(errors.filter((error) => own.test(error))).toEqual([]);
    },
  );
});

test.each([
  ["the oldest tRPC that the client's range allows", "11.5.0", {}],
  [
    "@trpc/tanstack-react-query, which pins another tRPC",
    "11.22.1",
    { "@trpc/tanstack-react-query": "11.22.1", "@tanstack/react-query": "5.108.4" },
  ],
])("npm installs the client beside %s", async (_, trpc, others) => {
  await using beside = await createOutsideProject({
    "peer-stream-client": tarballs["peer-stream-client"],
    "@trpc/client": trpc,
    "@trpc/server": trpc,
    "@types/react": "19.3.0",
    react: "19.3.1",
    ...others,
  });
  await beside.run(["npm", "install", "--strict-peer-deps", "--no-audit", "--no-fund"]);
  const { version } = (await Bun.file(
    join(beside.folder, "node_modules/@trpc/client/package.json"),
  ).json()) as Manifest;
  expect(version).toBe(trpc);
  const errors = await typeErrors(beside, "client.ts", clientSource, "5.7", "bundler");
  // Those versions of tRPC import the types of Node and of `ws`.
  expect(errors.filter((error) => !error.startsWith("node_modules/@trpc/"))).toEqual([]);
});

test("Node renders the hook on a server", async () => {
  await project.write({
    "render.js": `
      import { createElement } from "react";
      import { renderToString } from "react-dom/server";
      import { usePeerStream } from "peer-stream-client/react";
      const Chat = () => usePeerStream({ url: "/trpc" }).state.status;
      console.log(renderToString(createElement(Chat)));
    `,
  });
  expect(await project.run(["node", "render.js"])).toBe("idle\n");
  const code = await Bun.file(join(installed("peer-stream-client"), "react.js")).text();
  expect(code).toStartWith('"use client";');
});

test("the library is imported without an effect, beside a host's own Elysia and tRPC", async () => {
  await project.write({
    "host.ts": `
      import { createPeerStream, readConfig } from "peer-stream/server";
      import * as binding from "peer-stream/trpc-ws";
      import "peer-stream";
      console.log(typeof createPeerStream, typeof readConfig, Object.keys(binding).length > 0);
    `,
  });
  expect(await project.run(["bun", "host.ts"])).toBe("function function true\n");
  for (const shared of ["elysia", "@trpc/server"])
    expect(
      await Bun.file(
        join(installed("peer-stream"), "node_modules", shared, "package.json"),
      ).exists(),
    ).toBe(false);
});

test("the library has the dashboard and the alert rules with it", async () => {
  for (const file of ["dashboard.json", "alerts.yaml"])
    expect(await Bun.file(join(installed("peer-stream"), "dist/observe", file)).text()).toBe(
      await Bun.file(join(root, "src/observe", file)).text(),
    );
});

test("the library has the console in it", async () => {
  await project.write({
    "console.ts": `
      import { Elysia } from "elysia";
      import { createPeerStream } from "peer-stream/server";
      const strangers = createPeerStream({ isOperator: () => true, logLevel: "silent" });
      const host = new Elysia({ websocket: strangers.websocket })
        .use(new Elysia({ prefix: "/strangers" }).use(strangers.plugin))
        .listen({ port: 0, hostname: "127.0.0.1" });
      const page = new URL("/strangers/admin", host.server.url);
      const html = await (await fetch(page)).text();
      const [, script] = /<script[^>]* src="([^"]+)"/.exec(html);
      const code = await (await fetch(new URL(script, page))).text();
      console.log(code.includes("operator-token"), / from ?"/.test(code));
      await strangers.stop();
      await host.stop(true);
    `,
  });
  expect(await project.run(["bun", "console.ts"])).toBe("true false\n");
});

describe("the command", () => {
  test.each([
    ["npx, with Bun as a package beside it", "npx", ["node", "npm", "npx", "sh"], true],
    ["npx, with Bun on PATH", "npx", ["node", "npm", "npx", "sh", "bun"], false],
    ["bunx, without Node", "bunx", ["bun", "bunx", "sh"], false],
    ["bunx, with Node", "bunx", ["bun", "bunx", "node", "sh"], false],
  ])(
    "starts by %s, serves its page, and drains when it is ended",
    async (_, runner, programs, isPackage) => {
      const PATH = await pathWith(programs);
      const bunPackage = join(project.folder, "node_modules/bun");
      if (isPackage) await installBun(bunPackage);
      try {
        const command = [join(PATH, runner), "peer-stream"];
        await using server = await startServer(
          { PATH, SERVE_SCHEMA: "true" },
          { command, cwd: project.folder },
        );
        const described = await fetch(`${server.origin}/schema/openapi.json`);
        // Of this site, which declares no facts; the package's is of any.
        const shipped = Bun.file(join(installed("peer-stream"), "dist/schema/openapi.json"));
        const pathsOf = (document: unknown) => (document as { paths: object }).paths;
        expect(pathsOf(await described.json())).toEqual(pathsOf(await shipped.json()));
        const page = await (await fetch(server.origin)).text();
        const [, script = ""] = /<script[^>]* src="([^"]+)"/.exec(page) ?? [];
        const code = await (await fetch(new URL(script, server.origin))).text();
        // Bundled with tRPC's client: the browser resolves no packages.
        expect(code).not.toMatch(/from ?"@trpc/);
        expect(code).toContain("RTCPeerConnection");
        await server.stop();
        // npx ends before what it has passed the signal on to.
        await until("it leaves", () => server.output.includes('"msg":"leaving"'));
        await until("its port is closed", () =>
          fetch(server.origin).then(
            () => false,
            () => true,
          ),
        );
      } finally {
        await rm(bunPackage, { recursive: true, force: true });
      }
    },
  );

  test("answers its arguments, and passes on with what code it ended", async () => {
    const { version } = await manifestOf("peer-stream");
    expect(await project.run(["bunx", "peer-stream", "--version"])).toBe(`${version}\n`);
    const wrong = Bun.spawnSync(["npx", "peer-stream", "--nonsense"], { cwd: project.folder });
    expect([wrong.exitCode, wrong.stderr.toString()]).toEqual([
      2,
      expect.stringContaining('knows no argument "--nonsense"'),
    ]);
  });

  test("says how to get Bun where there is none", async () => {
    const PATH = await pathWith(["node", "npm", "npx", "sh"]);
    const { exitCode, stderr } = Bun.spawnSync([join(PATH, "npx"), "peer-stream"], {
      cwd: project.folder,
      env: { ...process.env, PATH },
    });
    expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining("npm install bun")]);
  });
});

/** A folder that has these programs and no others, as the only one on PATH. */
async function pathWith(programs: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(packed, "path-"));
  for (const program of programs) {
    const found = program.startsWith("bun") ? process.execPath : Bun.which(program);
    if (!found) throw new Error(`${program} is needed`);
    await symlink(found, join(folder, program));
  }
  return folder;
}

/** The package `bun` as npm lays it out. */
async function installBun(folder: string): Promise<void> {
  await mkdir(join(folder, "bin"), { recursive: true });
  await Bun.write(
    join(folder, "package.json"),
    JSON.stringify({ name: "bun", version: Bun.version }),
  );
  await symlink(process.execPath, join(folder, "bin/bun.exe"));
}

async function filesOf(name: Name): Promise<string[]> {
  const printed = await run(packed, ["tar", "tzf", tarballs[name]]);
  return printed
    .trim()
    .split("\n")
    .map((file) => file.replace(/^package\//, ""));
}

/** What a module or a declaration file imports. */
async function importsOf(file: string): Promise<string[]> {
  if (!/\.(js|d\.ts)$/.test(file)) return [];
  const text = await Bun.file(file).text();
  if (file.endsWith(".js"))
    return new Bun.Transpiler({ loader: "js" })
      .scanImports(text.replace(/^#!.*/, ""))
      .map(({ path }) => path);
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "");
  return [...code.matchAll(/(?:from |import\()"([^"]+)"/g)].map(([, path = ""]) => path);
}

function packageName(path: string): string {
  const bare = path.replace(/^node:/, "");
  return bare.split("/", bare.startsWith("@") ? 2 : 1).join("/");
}

/** What the compiler finds in `source` and in all declarations that it reaches. */
async function typeErrors(
  { folder, write }: OutsideProject,
  file: string,
  source: string,
  version: keyof typeof compilers,
  moduleResolution: (typeof modes)[number],
): Promise<string[]> {
  const compilerOptions = {
    module: moduleResolution === "bundler" ? "ESNext" : moduleResolution,
    moduleResolution,
    target: "ES2022",
    // What tRPC's own declarations need.
    lib: [
      "ES2022",
      "DOM",
      "DOM.Iterable",
      "DOM.AsyncIterable",
      "ESNext.AsyncIterable",
      "ESNext.Disposable",
    ],
    types: file === "server.ts" ? ["bun"] : [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  };
  await write({
    [file]: source,
    "tsconfig.json": JSON.stringify({ compilerOptions, files: [file] }),
  });
  const tsc = join(root, "node_modules", compilers[version], "bin/tsc");
  const { stdout, exitCode } = Bun.spawnSync(["node", tsc, "-p", "."], { cwd: folder });
  const errors = stdout
    .toString()
    .split("\n")
    .filter((line) => line.includes("error TS"));
  expect([exitCode === 0, stdout.toString()]).toEqual([errors.length === 0, expect.any(String)]);
  return errors;
}
