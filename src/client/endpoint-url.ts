/**
 * Parses the URL of the server's endpoint, in the forms that a `WebSocket` accepts (WHATWG WebSockets, 3.1): an absolute
 * `ws:`, `wss:`, `http:` or `https:` URL, or a path on the page's own host. The default is `/trpc` on the page's own host.
 *
 * @param pageUrl - the page's own URL; undefined outside a browser, where a path cannot be resolved.
 * @returns the `ws:` or `wss:` URL, or undefined for a path outside a browser.
 * @throws TypeError for anything else, with the reason.
 */
export function readEndpointUrl(
  given: string | undefined,
  pageUrl: string | undefined,
): string | undefined {
  const text: unknown = given === undefined ? "/trpc" : given;
  const refuse = (why: string) =>
    new TypeError(
      `createPeerStream: url ${JSON.stringify(text)} ${why}, like wss://example.com/trpc`,
    );
  if (typeof text !== "string") throw refuse("must be a string");
  // Any other text without a scheme, such as `example.com/trpc`, would be resolved as a path.
  const isPath = /^\/(?!\/)/.test(text);
  if (!isPath && !/^(wss?|https?):\/\//i.test(text))
    throw refuse("must begin with ws://, wss://, http://, https:// or /");
  const url = parse(text, isPath ? (pageUrl ?? "http://page.invalid") : undefined);
  if (!url) throw refuse("can't be parsed");
  if (text.includes("#")) throw refuse("must have no fragment (#)");
  if (isPath && pageUrl === undefined) return undefined;
  if (!/^(wss?|https?):$/.test(url.protocol))
    throw refuse(`is no address on a ${url.protocol} page`);
  // React Native's URL can't be changed.
  return url.href.replace(/^http/, "ws");
}

/**
 * The same endpoint over HTTP, without user name and password, which `fetch` does not accept.
 *
 * @param serverUrl - as `readEndpointUrl` returns it.
 * @param path - appended to the endpoint's path.
 */
export function httpUrlOf(serverUrl: string, path = ""): string {
  return serverUrl.replace(/^ws(s?:\/\/)([^/]*@)?([^?]*)/, `http$1$3${path}`);
}

function parse(text: string, base: string | undefined): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}
