/**
 * Which pages may talk to this server. A WebSocket is not held back by CORS (RFC 6455, 10.2), so the upgrade
 * is checked against the same list as every other call.
 *
 * The `Host` header alone proves nothing: the owner of any name can point it at this server and have a browser load a page by
 * that name (DNS rebinding). So a page of the same host is accepted only by a name that the operator gave, or by one that can't
 * be pointed here by others: a loopback name or an IP address.
 */
import { isIP } from "node:net";

export interface OriginPolicy {
  /** Exact origins, as browsers send them (RFC 6454, 6.2): scheme, host, and the port unless it is the default. */
  allowed: readonly string[];
  /** Whether those that send no Origin (not browsers) may connect. */
  allowNone: boolean;
  /** Whether pages of this machine may connect from any port; for development. */
  allowLoopback: boolean;
  /** Names of this server besides those of `allowed`, without port. */
  ownHosts: readonly string[];
}

/** @param origin the `Origin` header; `null` when there is none. @param host the `Host` header. */
export function isAllowedOrigin(
  policy: OriginPolicy,
  origin: string | null,
  host: string | null,
): boolean {
  if (origin === null) return policy.allowNone;
  if (policy.allowed.includes(origin)) return true;
  const authority = /^https?:\/\/(.+)$/.exec(origin)?.[1];
  const name = authority === undefined ? undefined : hostnameOf(authority);
  if (name === undefined) return false;
  if (policy.allowLoopback && isLoopback(name)) return true;
  return authority === host && isOwnHost(policy, name);
}

/**
 * Whether the server's own page made a request without `Origin`: browsers leave it out of GET and HEAD within one origin
 * (Fetch, 3.2). No page can set `Sec-Fetch-Site` (W3C Fetch Metadata, 2.3); that of a page by a name that was pointed at this
 * server says `same-origin` as well, so the name counts.
 */
export function isOwnPage(policy: OriginPolicy, { headers }: Pick<Request, "headers">): boolean {
  return (
    !headers.has("origin") &&
    headers.get("sec-fetch-site") === "same-origin" &&
    isKnownHost(policy, headers.get("host"))
  );
}

/**
 * Whether a request that a cookie may have authorised comes from a page of this server, and not from another site that makes the browser
 * send it (cross-site request forgery). Reading may also be done by hand, as from the address bar; whatever changes something needs proof:
 * `Sec-Fetch-Site`, which browsers leave out on plain HTTP, or `Origin`. Pages of `allowed` are other sites here.
 */
export function isFromOwnSite(
  policy: OriginPolicy,
  { method, headers }: Pick<Request, "method" | "headers">,
): boolean {
  const [origin, host, site] = ["origin", "host", "sec-fetch-site"].map((name) =>
    headers.get(name),
  );
  if (!isKnownHost(policy, host ?? null)) return false;
  if (origin && origin.replace(/^https?:\/\//, "") !== host) return false;
  const isReading = method === "GET" || method === "HEAD";
  if (site && site !== "same-origin") return site === "none" && isReading;
  return isReading || site === "same-origin" || Boolean(origin);
}

/** Whether this server goes by the name in a `Host` header: only then does it show its page. */
export function isKnownHost(policy: OriginPolicy, host: string | null): boolean {
  const authority = host?.toLowerCase() ?? "";
  const name = hostnameOf(authority);
  if (name === undefined) return false;
  return (
    isOwnHost(policy, name) || policy.allowed.some((origin) => URL.parse(origin)?.hostname === name)
  );
}

function isOwnHost({ ownHosts }: OriginPolicy, name: string): boolean {
  return isLoopback(name) || isIP(name.replace(/^\[|\]$/g, "")) > 0 || ownHosts.includes(name);
}

/** The name or address of `host[:port]`, if it is written as browsers write it; IPv6 in brackets. */
function hostnameOf(authority: string): string | undefined {
  // The default ports are left out, and which is the default depends on the scheme.
  for (const scheme of ["http", "https"]) {
    const url = URL.parse(`${scheme}://${authority}`);
    if (url?.host === authority) return url.hostname;
  }
  return undefined;
}

/** Names and addresses that lead nowhere but to the same machine (RFC 6761, 6.3; RFC 1122, 3.2.1.3). */
function isLoopback(name: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(name);
}
