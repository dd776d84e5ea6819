/** Serves a peer stream on a port of its own. */
import { readFileSync } from "node:fs";
import { Elysia } from "elysia";
import type { MaybePromise } from "../maybe-promise.ts";
import { limits } from "../protocol.ts";
import { bunSocketSettings } from "../trpc-ws/bun.ts";
import type { Assembly } from "./peer-stream.ts";
import { asksForUpgrade } from "./upgrade.ts";

/** Where to listen; with `tls`, the paths of two PEM files, over HTTPS and WSS. */
export interface ListenAt {
  host: string;
  /** 0: any free one. */
  port: number;
  tls?: { cert: string; key: string } | undefined;
}

export interface RunningServer {
  /** With the port that it listens on. */
  readonly url: URL;
  /** Closes the port and every connection. */
  stop(): Promise<void>;
}

/** @throws if the port is taken, or the files of `tls` are not what they should be. */
export function listen(peerStream: Assembly, { host, port, tls }: ListenAt): RunningServer {
  const elysia = new Elysia({
    serve: {
      // A taken port is an error.
      reusePort: false,
      // A body may be no larger than a frame: parsing it costs before it can be refused.
      maxRequestBodySize: limits.frameBytesMax,
      routes: {
        "/trpc": {
          GET: (request, bun): MaybePromise<Response | undefined> =>
            asksForUpgrade(request) ? peerStream.upgrade(request, bun) : elysia.fetch(request),
        },
      },
    },
    websocket: { ...bunSocketSettings },
    handler: { standardHostname: false },
  })
    .use(peerStream.routes)
    .listen({
      hostname: host,
      port,
      ...(tls && { tls: { cert: readFileSync(tls.cert), key: readFileSync(tls.key) } }),
    });
  const { server } = elysia;
  if (!server) throw new Error("the server did not start");
  peerStream.setAddressLookup((request) => server.requestIP(request)?.address);
  return {
    url: server.url,
    async stop() {
      peerStream.stop();
      await server.stop(true);
    },
  };
}
