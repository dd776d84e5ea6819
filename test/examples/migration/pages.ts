/** Serves the front end at each step: `/0` is the one before, `/3` the last one. */
import { join } from "node:path";

const html = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>Strangers</title>
    <link rel="icon" href="data:," />
  </head>
  <body>
    <video id="own" autoplay playsinline muted></video>
    <video id="partner" autoplay playsinline></video>
    <p id="state">idle</p>
    <button id="next">Next</button>
  </body>
</html>`;

const server = Bun.serve({
  port: 5173,
  routes: {
    "/": () => Response.redirect("/3"),
    "/:step": ({ params: { step } }) =>
      new Response(
        html.replace("</body>", `<script type="module" src="/${step}/page.js"></script></body>`),
        {
          headers: { "content-type": "text/html; charset=utf-8" },
        },
      ),
    "/:step/page.js": async ({ params: { step } }) => {
      const built = await Bun.build({
        entrypoints: [join(import.meta.dir, `page-${Number(step)}.ts`)],
      });
      return new Response(built.outputs[0]);
    },
  },
});
console.log(`Open ${server.url}`);
