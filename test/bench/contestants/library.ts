/** The same server as a plugin in a host application; with `hooks` every peer is authenticated and admitted by code. */
import { Elysia } from "elysia";
import { createPeerStream, readConfig } from "../../../src/server.ts";

const { host: hostname, port = 0, ...options } = readConfig(process.env);
const strangers = createPeerStream({
  ...options,
  ...(process.argv.includes("hooks") && {
    authenticate: ({ params }) => ({ account: String(params["token"] ?? Math.random()) }),
    admit: () => true,
  }),
});
const host = new Elysia({ websocket: strangers.websocket })
  .use(strangers.plugin)
  .get("/livez", () => "alive\n")
  .listen({ hostname: hostname ?? "127.0.0.1", port });
process.stdout.write(`http://127.0.0.1:${host.server?.port}/\n`);
