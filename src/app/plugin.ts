/**
 * The Elysia plugin for a host application. Everything runs in an application of its own behind a few routes, so that no hook, header
 * or error handler of it reaches the host's routes, and none of the host's reaches these; only the path's prefix is removed.
 */
import { Elysia } from "elysia";
import type { Assembly } from "./peer-stream.ts";
import { asksForUpgrade } from "./upgrade.ts";

interface Received {
  request: Request;
  server: Parameters<Assembly["upgrade"]>[1];
  /** The pattern of the route, with all prefixes of the host. */
  route: string;
}

/** @param served the paths besides `/trpc`, as patterns. */
export function createPlugin(assembly: Assembly, served: readonly string[]) {
  /** Where requests that were rewritten have come from. */
  const addresses = new WeakMap<Request, string | undefined>();
  assembly.setAddressLookup((request) => addresses.get(request));

  function pass(pattern: string, { request, server, route }: Received) {
    const prefix = route.slice(0, route.length - pattern.length);
    const own = prefix === "" ? request : withoutPrefix(request, prefix.length);
    addresses.set(own, server?.requestIP(request)?.address);
    if (pattern === "/trpc" && asksForUpgrade(request)) {
      // Only the original request can be upgraded.
      addresses.set(request, addresses.get(own));
      return assembly.upgrade(request, server);
    }
    // Bun would end a stream of events after seconds, whatever is sent on it meanwhile.
    if (request.headers.get("accept")?.includes("text/event-stream")) server?.timeout(request, 0);
    return assembly.routes.handle(own);
  }

  const plugin = new Elysia();
  for (const pattern of ["/trpc", "/trpc/*", ...served])
    // The body is left to the application behind.
    plugin.all(pattern, (received) => pass(pattern, received as unknown as Received), {
      parse: "none",
    });
  return plugin;
}

function withoutPrefix(request: Request, length: number): Request {
  const url = new URL(request.url);
  url.pathname = url.pathname.slice(length);
  return new Request(url, request);
}
