/**
 * Builds the package for frontends: `dist/client`, an ES module with its declarations, and `dist/app-router.d.ts`, the type
 * of the server's router for those who use a tRPC client of their own.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const dist = join(root, "dist");
const declarations = join(dist, "declarations");

/** The files whose exports `peer-stream/client` has, besides the protocol's types. */
const clientFiles = ["peer-stream", "types", "state", "camera", "call-stats"];

await Bun.build({
  entrypoints: [join(root, "src/client/peer-stream.ts")],
  target: "browser",
  // A frontend has a bundler, a minifier and perhaps a tRPC client of its own.
  packages: "external",
  outdir: join(dist, "client"),
});
await emitDeclarations();
await writeAppRouter();
await writeClientDeclarations();
await rm(declarations, { recursive: true });

/** By tsc, as Bun emits no declarations. */
async function emitDeclarations() {
  const project = join(declarations, "tsconfig.json");
  const files = ["client/peer-stream.ts", "rpc/router.ts"].map((file) => join(root, "src", file));
  await Bun.write(
    project,
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        rootDir: join(root, "src"),
        outDir: declarations,
      },
      files,
      include: [],
    }),
  );
  const tsc = Bun.spawn([join(root, "node_modules/.bin/tsc"), "-p", project], {
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await tsc.exited) !== 0) throw new Error("tsc found errors");
}

/**
 * `app-router.d.ts`: the router's type with the protocol's types written out beside it, so that its only
 * import is @trpc/server. Schemas and the server's context stay at home.
 */
async function writeAppRouter() {
  const protocol = statements(await read("protocol.d.ts"))
    .filter((statement) => !/^import |\bz\.|^export declare const limits/m.test(statement))
    // Values do not exist at the other end; their types are what the unions are made of.
    .map((statement) => statement.replace("export declare const", "declare const"));
  const router = (await read("rpc/router.d.ts"))
    .replace(/^import .*\n/gm, "")
    .replaceAll('import("./context.ts").Context', "object")
    .replaceAll(/import\("\.\.\/(?:protocol|signaling\/signaling)\.ts"\)\./g, "")
    .replaceAll("protocol.", "")
    .replace("export declare const appRouter", "declare const appRouter");
  const text = [...protocol, router, "export {};\n"].join("\n");
  const foreign = /(?:^import .*|import\()"(?!@trpc\/server)[^"]*"/m.exec(text);
  if (foreign) throw new Error(`app-router.d.ts must stand alone, but has ${foreign[0]}`);
  await Bun.write(join(dist, "app-router.d.ts"), text);
}

async function writeClientDeclarations() {
  const emitted = new Bun.Glob("client/*.d.ts").scan(declarations);
  for await (const file of emitted) {
    const text = (await read(file))
      .replaceAll(/"\.\.\/(?:protocol|rpc\/router)\.ts"/g, '"../app-router.js"')
      .replaceAll(/"\.\/([\w-]+)\.ts"/g, '"./$1.js"');
    await Bun.write(join(dist, file), text);
  }
  const index = [...clientFiles.map((file) => `./${file}.js`), "../app-router.js"]
    .map((path) => `export ${path.endsWith("peer-stream.js") ? "" : "type "}* from "${path}";\n`)
    .join("");
  await Bun.write(join(dist, "client", "index.d.ts"), index);
}

function read(file: string): Promise<string> {
  return Bun.file(join(declarations, file)).text();
}

/** The top-level statements of a declaration file, each with the comment before it. */
function statements(text: string): string[] {
  const found: string[] = [];
  let lines: string[] = [];
  for (const line of text.split("\n")) {
    lines.push(line);
    // tsc indents all that is inside.
    if (!/^(?! ).*(;|^\})$/.test(line)) continue;
    found.push(lines.join("\n"));
    lines = [];
  }
  return found;
}
