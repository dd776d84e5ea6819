/**
 * Builds what is published. The package `peer-stream`, whose manifest is package.json, is `dist/server`, `dist/types`, `dist/app-router`,
 * `dist/observe`, `dist/schema` and `dist/transcripts`. The package `peer-stream-client` is `dist/peer-stream-client`; its manifest is client/package.json with the
 * exports and what both have in common, such as the version.
 */
import { chmod, cp, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import manifest from "../package.json";
import clientManifest from "./client/package.json";
import { createWireDocuments } from "./rpc/wire/documents.ts";

const root = join(import.meta.dir, "..");
const source = join(root, "src");
const dist = join(root, "dist");
const emitted = join(dist, "declarations");
const client = join(dist, clientManifest.name);

/** Paths under `src`, without extension. */
const serverEntries = ["server", "trpc-ws/trpc-ws"];
const clientEntries = ["client/index", "client/native", "client/react"];
const router = "rpc/router";

/** The page is bundled with all that it needs; what the server imports is installed beside it. */
const dependenciesOfTheServerStayOutside: Bun.BunPlugin = {
  name: "dependencies of the server stay outside",
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const [folder] = importer.startsWith(source)
        ? posix.relative(source, importer).split("/")
        : [];
      const isServer = folder !== undefined && folder !== "client" && folder !== "web";
      return isServer ? { path, external: true } : undefined;
    });
  },
};

for (const folder of [...manifest.files.map((file) => join(root, file)), client])
  await rm(folder, { recursive: true, force: true });
await bundleServer();
await bundleClient();
await copyTranscripts();
await emitDeclarations();
await copyDeclarations(serverEntries, join(dist, "types"));
await removeContext();
await copyDeclarations([router], join(dist, "app-router"));
await Bun.write(join(dist, "app-router/index.js"), "export {};\n");
await writeWireDocuments();
await copyDeclarations(clientEntries, join(client, "types"));
await writeClientManifest();
await rm(emitted, { recursive: true });
for (const file of ["dashboard.json", "alerts.yaml"])
  await cp(join(source, "observe", file), join(dist, "observe", file));

async function bundleServer(): Promise<void> {
  const outdir = join(dist, "server");
  await Bun.build({
    entrypoints: ["main", ...serverEntries].map(sourceFile),
    target: "bun",
    splitting: true,
    // Names stay as they are, for those who read a stack trace or a profile.
    minify: { whitespace: true, syntax: true },
    sourcemap: "linked",
    naming: { entry: "[name].[ext]" },
    plugins: [dependenciesOfTheServerStayOutside],
    outdir,
  });
  await Bun.build({
    entrypoints: [sourceFile("bin")],
    target: "node",
    banner: "#!/usr/bin/env node",
    sourcemap: "linked",
    outdir,
  });
  await chmod(join(outdir, "bin.js"), 0o755);
}

async function bundleClient(): Promise<void> {
  await Bun.build({
    entrypoints: clientEntries.map(sourceFile),
    // For browsers Bun adds code that preloads chunks: it needs `import.meta`, which React Native has not, and runs on import.
    target: "node",
    splitting: true,
    // A frontend has a bundler, a minifier and perhaps a tRPC client of its own.
    packages: "external",
    sourcemap: "linked",
    naming: { entry: "[name].[ext]" },
    outdir: client,
  });
  // Next.js and others render on the server what does not say so. The bundler drops the directive; on the first line it leaves
  // the source map right.
  const react = join(client, "react.js");
  await Bun.write(react, `"use client";${await Bun.file(react).text()}`);
}

/** What authors of other clients test against: the transcripts, and a server that plays them. */
async function copyTranscripts(): Promise<void> {
  const outdir = join(dist, "transcripts");
  await cp(join(root, "test/transcripts"), outdir, { recursive: true });
  await Bun.build({
    entrypoints: [join(root, "test/support/serve-transcript.ts")],
    target: "bun",
    sourcemap: "linked",
    outdir,
  });
}

/** By tsc, as Bun emits no declarations. */
async function emitDeclarations(): Promise<void> {
  const project = join(emitted, "tsconfig.json");
  await Bun.write(
    project,
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: source,
        outDir: emitted,
      },
      // The last one declares what an import of a Lua script is.
      files: [...serverEntries, ...clientEntries, "engine/redis/lua/lua.d"].map(sourceFile),
      include: [],
    }),
  );
  const tsc = Bun.spawn([join(root, "node_modules/typescript/bin/tsc"), "-p", project], {
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await tsc.exited) !== 0) throw new Error("tsc found errors");
}

/** Frontends need the router's type without the context of its procedures, whose types are those of the whole server. */
async function removeContext(): Promise<void> {
  const file = join(emitted, `${router}.d.ts`);
  const text = await Bun.file(file).text();
  const contextImport = /import (?:type \{|\{ type) Context \} from "\.\/context\.ts";/;
  if (!contextImport.test(text)) throw new Error(`${router}.d.ts no longer imports its context`);
  await Bun.write(file, text.replace(contextImport, "type Context = object;"));
}

/** Copies the declarations of some files and of all that they import, so that `folder` stands alone. */
async function copyDeclarations(entries: readonly string[], folder: string): Promise<void> {
  const copied = new Set(entries);
  for (const path of copied) {
    const text = await Bun.file(join(emitted, `${path}.d.ts`)).text();
    const relative = /(?<=(?:from |import\()")(\.{1,2}\/[^"]+)\.ts(?=")/g;
    for (const [, target = ""] of text.matchAll(relative))
      copied.add(posix.join(posix.dirname(path), target));
    // TypeScript takes `./x.ts` in a declaration for a source, which is not published.
    await Bun.write(join(folder, `${path}.d.ts`), text.replaceAll(relative, "$1.js"));
  }
}

/** For authors of clients: of any site, whatever it declares. */
async function writeWireDocuments(): Promise<void> {
  const documents = createWireDocuments({ release: manifest.version });
  for (const [name, document] of Object.entries(documents))
    await Bun.write(join(dist, "schema", name), `${JSON.stringify(document, null, 2)}\n`);
}

async function writeClientManifest(): Promise<void> {
  const { version, license, homepage, bugs, repository } = manifest;
  const { name, ...own } = clientManifest;
  const entry = (file: string) => ({
    types: `./types/client/${file}.d.ts`,
    default: `./${file}.js`,
  });
  const exports = {
    ".": entry("index"),
    "./native": entry("native"),
    "./react": entry("react"),
    "./package.json": "./package.json",
  };
  const whole = { name, version, license, homepage, bugs, repository, ...own, exports };
  await Bun.write(join(client, "package.json"), `${JSON.stringify(whole, null, 2)}\n`);
  await cp(join(root, "LICENSE"), join(client, "LICENSE"));
  await cp(join(source, "client/README.md"), join(client, "README.md"));
}

function sourceFile(path: string): string {
  return join(source, `${path}.ts`);
}
