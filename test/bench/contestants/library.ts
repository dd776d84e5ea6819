/**
 * The same server as a plugin in a host application; with `hooks` every peer is authenticated and admitted by code. The host serves the page
 * of the program: what is free again once that was bundled is what the memory of the first peers is taken from.
 */
import { Elysia } from "elysia";
import { createPage } from "../../../src/http/page.ts";
import { createPeerStream, readConfig } from "../../../src/server.ts";
import index from "../../../src/web/index.html";

const { host: hostname, port = 0, ...options } = readConfig(process.env);
const strangers = createPeerStream({
  ...options,
  ...(process.argv.includes("hooks") && {
    authenticate: ({ params }) => ({ account: String(params["token"] ?? Math.random()) }),
    admit: () => true,
  }),
});
const page = await createPage(index, { production: true });
const host = new Elysia({ websocket: strangers.websocket })
  .use(strangers.plugin)
  .get("/livez", () => "alive\n")
  .get(
    "/*",
    async ({ request }) => (await page(request)) ?? new Response("Not found", { status: 404 }),
  )
  .listen({ hostname: hostname ?? "127.0.0.1", port });
process.stdout.write(`http://127.0.0.1:${host.server?.port}/\n`);
