/** The last call of a page that is unloaded: `leave`. */
import type { Fetch } from "./platform.ts";
import { httpUrlOf } from "./endpoint-url.ts";
import { credentialHeaders } from "./transport.ts";
import type { TransportChoice } from "./transport-choice.ts";

/**
 * Sends `leave` behind everything that was sent before, in a way that survives the unloading of the page.
 *
 * @param auth - what the server authenticates the peer by, as it was sent last: an unloading page can't wait for it.
 */
export function sendLeaveOnUnload(
  { current, url }: Pick<TransportChoice, "current" | "url">,
  fetch: Fetch,
  token: string,
  auth: string | undefined,
): void {
  current.sendLast({
    id: "leave-on-unload",
    method: "mutation",
    params: { path: "leave", input: {} },
  });
  // The frame may not be transmitted before the page is gone. A fetch with `keepalive` outlives it (Fetch, 2.2.5).
  const headers = { ...credentialHeaders(token, auth), "content-type": "application/json" };
  const init = { method: "POST", keepalive: true, headers, body: "{}" };
  fetch(httpUrlOf(url, "/leave"), init).catch(() => {
    // The server detects the closed socket instead, and its grace expires.
  });
}
