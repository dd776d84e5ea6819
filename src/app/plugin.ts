/**
 * The Elysia plugin for a host application. Everything runs in an application of its own behind a few routes, so that no hook, header
 * or error handler of it reaches the host's routes; only the path's prefix is removed. Hooks that the host has registered for all routes
 * concern these as well.
 */
import { Elysia } from "elysia";
import { isEventStream } from "../http/open-responses.ts";
import { limits } from "../protocol.ts";
import type { Assembly } from "./peer-stream.ts";
import { textResponse } from "./responses.ts";
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
    const own = prefix === "" ? request : withoutPrefix(request, prefix.split("/").length - 1);
    addresses.set(own, server?.requestIP(request)?.address);
    if (pattern === "/trpc" && asksForUpgrade(request)) {
      // Only the original request can be upgraded.
      addresses.set(request, addresses.get(own));
      return assembly.upgrade(request, server);
    }
    const refused = own.body && refuseBody(request.headers.get("content-length"));
    if (refused) return refused;
    return answer(request, own, server);
  }

  async function answer(request: Request, own: Request, server: Received["server"]) {
    const response = await assembly.routes.handle(own);
    // Bun would end a stream of events after seconds, whatever is sent on it meanwhile.
    if (isEventStream(response)) server?.timeout(request, 0);
    return response;
  }

  const plugin = new Elysia();
  for (const pattern of ["/trpc", "/trpc/*", ...served])
    // Of all that Elysia would read for each request it reads what is named here, and leaves the body to the application behind.
    plugin.all(pattern, ({ request, server, route }) => pass(pattern, { request, server, route }), {
      parse: "none",
    });
  return plugin;
}

/** @param segments of the prefix: its characters may be others in the request, as those of a parameter, or encoded ones. */
function withoutPrefix(request: Request, segments: number): Request {
  const url = new URL(request.url);
  url.pathname = `/${url.pathname
    .split("/")
    .slice(segments + 1)
    .join("/")}`;
  return new Request(url, request);
}

/** The host may allow larger bodies than a frame; parsing them costs before they can be refused. */
function refuseBody(length: string | null): Response | undefined {
  if (length === null) return textResponse("Length Required\n", 411);
  if (Number(length) > limits.frameBytesMax) return textResponse("Content Too Large\n", 413);
  return undefined;
}
