/** A site of somebody else's: one page with the client library and a picture of the stranger in it. */
import { join } from "node:path";
import { root } from "./root.ts";

export interface ClientSite extends Disposable {
  readonly origin: string;
}

const page = `<!doctype html><title>A site</title><link rel="icon" href="data:,">
<video id="remote" autoplay muted playsinline></video>
<script type="module">
  import { createPeerStream } from "/client.js";
  const query = new URLSearchParams(location.search);
  const server = query.get("server");
  if (server) {
    window.peer = createPeerStream({ url: server, standingOffers: !query.has("without") });
    window.peer.subscribe((state) => {
      document.body.dataset.state = state.status;
      const { remote } = state;
      const video = document.querySelector("video");
      if (remote !== (video.srcObject ?? undefined)) video.srcObject = remote ?? null;
    });
  }
  document.body.dataset.ready = "";
</script>`;

/** Bundles the client and serves it, and the page at `/?server=ws://…` (`&without`: standing offers). @param policy the page's Content-Security-Policy. */
export async function startClientSite(policy?: string): Promise<ClientSite> {
  const entry = join(root, "src/client/peer-stream.ts");
  const { outputs } = await Bun.build({ entrypoints: [entry], target: "browser" });
  const code = await outputs[0]?.text();
  if (code === undefined) throw new Error("the client was not bundled");
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/client.js": new Response(code, { headers: { "content-type": "text/javascript" } }),
      "/": new Response(page, {
        headers: {
          "content-type": "text/html",
          ...(policy !== undefined && { "content-security-policy": policy }),
        },
      }),
    },
  });
  return { origin: server.url.origin, [Symbol.dispose]: () => void server.stop(true) };
}
