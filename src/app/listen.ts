/** Serves a peer stream on a port of its own. */
import { readFileSync } from "node:fs";
import { Elysia } from "elysia";
import { limits } from "../protocol.ts";
import { bunSocketSettings } from "../trpc-ws/bun.ts";
import type { PeerStream } from "./peer-stream.ts";

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
export function listen(peerStream: PeerStream, { host, port, tls }: ListenAt): RunningServer {
  const { server } = new Elysia({
    // Without `reusePort` a taken port is an error. A body may be no larger than a frame: parsing it costs before it can be
    // refused.
    serve: { reusePort: false, maxRequestBodySize: limits.frameBytesMax },
    websocket: { ...bunSocketSettings },
    handler: { standardHostname: false },
  })
    .use(peerStream.routes)
    .listen({
      hostname: host,
      port,
      ...(tls && { tls: { cert: readFileSync(tls.cert), key: readFileSync(tls.key) } }),
    });
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
