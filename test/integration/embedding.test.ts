/** The examples in src/app/README.md and src/client/README.md: as they are printed they are checked by TypeScript, and the first one is run. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { clientReference, operating } from "../support/documents.ts";
import { root } from "../support/root.ts";

const packages = {
  '"peer-stream/server"': JSON.stringify(join(root, "src/server.ts")),
  '"peer-stream-client"': JSON.stringify(join(root, "src/client/index.ts")),
  '"peer-stream-client/native"': JSON.stringify(join(root, "src/client/native.ts")),
};

/** Those in a part of a document, importing the sources in place of the packages. */
const examplesIn = (document: string, from: string, to: string) => {
  const section = document.slice(document.indexOf(`\n${from}\n`), document.indexOf(`\n${to}\n`));
  return [...section.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) =>
    Object.entries(packages).reduce((text, [name, path]) => text.replaceAll(name, path), code),
  );
};

const embedding = examplesIn(operating, "## In an application of your own", "## As a program");
const challenges = [
  ...examplesIn(operating, "## Challenges", "## Rules first"),
  ...examplesIn(clientReference, "## Challenges", "## States"),
];
const native = examplesIn(clientReference, "## React Native", "## Debugging");
const examples = [...embedding, ...challenges, ...native];

/** The declarations of what the example for React Native imports, as far as it uses them: as those packages have them. */
const nativeModules = `
declare module "@react-native-async-storage/async-storage" {
  const AsyncStorage: {
    getItem(key: string, callback?: (error?: Error, result?: string) => void): Promise<string | null>;
    setItem(key: string, value: string, callback?: (error?: Error) => void): Promise<void>;
  };
  export default AsyncStorage;
}
declare module "react-native" {
  type AppStateStatus = "active" | "background" | "inactive" | "unknown" | "extension";
  export const AppState: {
    addEventListener(
      type: "change" | "memoryWarning" | "blur" | "focus",
      listener: (state: AppStateStatus) => void,
    ): { remove(): void };
  };
}
declare module "react-native-webrtc" {
  export class MediaStreamTrack {
    readonly id: string;
    stop(): void;
  }
  export class MediaStream {
    constructor(given?: MediaStream | MediaStreamTrack[] | { streamId: string; streamReactTag: string; tracks: object[] });
    toURL(): string;
  }
  export class RTCPeerConnection {
    constructor(configuration?: { iceServers?: { urls: string | string[] }[]; iceTransportPolicy?: "all" | "relay" });
    close(): void;
  }
  export const mediaDevices: {
    enumerateDevices(): Promise<unknown>;
    getDisplayMedia(constraints?: object): Promise<MediaStream>;
    getUserMedia(constraints: { audio?: boolean | object; video?: boolean | object }): Promise<MediaStream>;
  };
}
`;

test("the examples of embedding, of challenges and of React Native are accepted by TypeScript", async () => {
  expect([embedding.length, challenges.length, native.length]).toEqual([6, 6, 1]);
  const folder = await mkdtemp(join(root, "test/integration/.embedding-"));
  try {
    for (const [index, code] of examples.entries())
      await Bun.write(join(folder, `${index}.ts`), code);
    await Bun.write(join(folder, "modules.d.ts"), nativeModules);
    await Bun.write(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: join(root, "tsconfig.json"),
        // An example shows what there is, also what it does not use.
        compilerOptions: { noUnusedParameters: false, noUnusedLocals: false },
        include: ["*.ts", join(root, "src/**/*.d.ts")],
      }),
    );
    const tsc = Bun.spawn([join(root, "node_modules/.bin/tsc"), "--noEmit", "-p", folder], {
      stdout: "pipe",
    });
    expect(await new Response(tsc.stdout).text()).toBe("");
  } finally {
    await rm(folder, { recursive: true });
  }
}, 120_000);

test("the first one serves a host, and peers under its prefix", async () => {
  const folder = await mkdtemp(join(root, "test/integration/.embedding-"));
  try {
    const file = join(folder, "app.ts");
    await Bun.write(file, (examples[0] ?? "").replace("listen(3000)", "listen(0)"));
    const { app } = (await import(file)) as {
      app: { server: { port: number }; stop(now: boolean): Promise<void> };
    };
    const at = `127.0.0.1:${app.server.port}`;
    expect(await (await fetch(`http://${at}/`)).text()).toBe("the application's own page");
    const socket = new WebSocket(`ws://${at}/strangers/trpc`);
    const answer = new Promise(
      (resolve) => (socket.onmessage = ({ data }) => resolve(JSON.parse(String(data)))),
    );
    socket.onopen = () =>
      socket.send(JSON.stringify({ id: 1, method: "query", params: { path: "stats" } }));
    expect(await answer).toMatchObject({ id: 1, result: { data: { online: 0 } } });
    socket.close();
    await app.stop(true);
  } finally {
    await rm(folder, { recursive: true });
  }
});
