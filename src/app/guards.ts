/** Which requests are refused before any route handles them, and what an operator is told about it. */
import type { Admission } from "../http/admission.ts";
import {
  isAllowedOrigin,
  isFromOwnSite,
  isKnownHost,
  isOwnPage,
  type OriginPolicy,
} from "../http/origin.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWarnOnce } from "../observe/sparing-log.ts";
import { textResponse } from "./responses.ts";
import { asksForUpgrade } from "./upgrade.ts";

/** Characters of a stranger's text that are logged at most. */
const logCharsMax = 200;
const hourMs = 3_600_000;

const probes: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

export interface GuardParts {
  origins: OriginPolicy;
  admission: Admission;
  metrics: Metrics;
  log: Log;
  elapsed: () => number;
  /** The address at the other end of a request's connection. */
  addressOf: (request: Request) => string | undefined;
}

export class Guards {
  readonly #parts: GuardParts;
  readonly #warnOnce: ReturnType<typeof createWarnOnce>;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#warnOnce = createWarnOnce(parts.log, parts.elapsed);
  }

  /** Whether the page that made the request may use this server. */
  isOriginAllowed(request: Request): boolean {
    const { origins } = this.#parts;
    const { headers } = request;
    return (
      isAllowedOrigin(origins, headers.get("origin"), headers.get("host")) ||
      isOwnPage(origins, request)
    );
  }

  /**
   * The refusal of a request; `undefined` for one that may pass.
   * @param servedAs the path that it is served as, where a host's prefix is still before that.
   */
  refuse(request: Request, servedAs?: string): Response | undefined {
    const { admission, addressOf, metrics } = this.#parts;
    const requested = pathnameOf(request);
    const pathname = requested === undefined ? undefined : (servedAs ?? requested);
    if (pathname === undefined) {
      if (asksForUpgrade(request)) metrics.handshakeRefused("malformed");
      else metrics.refused("bad-input");
      return textResponse("Bad request\n", 400);
    }
    // Without `Forwarded` there is nothing to contradict; looking up the address is a call into the server.
    const { headers } = request;
    if (
      headers.has("forwarded") &&
      !probes.has(pathname) &&
      admission.isAmbiguous(headers, addressOf(request))
    )
      return this.#refuseForwarded(isHandshake(request, pathname));
    // A navigation has no Origin, nor has a probe: the page and the probes are open to all.
    if (pathname.startsWith("/trpc") && !this.isOriginAllowed(request))
      return this.#refuseOrigin(request, isHandshake(request, pathname));
    return undefined;
  }

  /** The refusal of a request for the page by a host name that this server was not given. */
  refuseHost({ headers }: Request): Response | undefined {
    const { origins, metrics } = this.#parts;
    const host = headers.get("host")?.slice(0, logCharsMax) ?? null;
    if (isKnownHost(origins, host)) return undefined;
    metrics.turnedAway("host");
    this.#warnOnce("the page was requested by an unknown host name", host ?? "", {
      host,
      cure: `set PUBLIC_URL=https://${host}, or http:// without TLS, if that is this server`,
    });
    return textResponse("This server has not been told this name: see PUBLIC_URL\n", 421);
  }

  /** Whether a page of this server made the request, so that cookies may authorise it: see `isFromOwnSite`. */
  isFromOwnSite(request: Request): boolean {
    const { origins, metrics } = this.#parts;
    const isOwn = isFromOwnSite(origins, request);
    if (!isOwn) metrics.turnedAway("origin");
    return isOwn;
  }

  /** The metrics were requested without the right token: most often by a Prometheus that has none. */
  onScrapeRefused(isTokenSet: boolean): void {
    this.#parts.metrics.scrapeRefused();
    const hour = String(Math.floor(this.#parts.elapsed() / hourMs));
    this.#warnOnce("the metrics were requested without their token", hour, {
      cure: isTokenSet
        ? "let Prometheus send METRICS_TOKEN: `authorization: { credentials_file: … }` in its scrape_configs"
        : "set METRICS_TOKEN, and let Prometheus send it",
    });
  }

  /** An operator's token was wrong. */
  onWrongToken(addressHash: string): void {
    this.#parts.metrics.turnedAway("operator-token");
    this.#warnOnce("a wrong operator's token", addressHash, { addressHash });
  }

  /**
   * Browsers do not tell a page why an upgrade failed. A page can find out by a plain GET of the same URL: this response,
   * and no other, is readable by every origin, and contains nothing that the page does not know.
   */
  #refuseOrigin({ headers, method }: Request, isHandshake: boolean): Response {
    const origin = headers.get("origin")?.slice(0, logCharsMax) ?? null;
    const isOwnPage = origin?.replace(/^https?:\/\//, "") === headers.get("host");
    this.#count("origin", isHandshake);
    const cure = cureOf(origin, isOwnPage);
    this.#warnOnce("an origin was refused", origin ?? "", { origin, cure });
    return Response.json(
      { error: "origin-not-allowed", origin },
      {
        status: 403,
        headers: {
          vary: "origin",
          "cache-control": "no-store",
          ...(method === "GET" && { "access-control-allow-origin": "*" }),
        },
      },
    );
  }

  #count(because: "origin" | "forwarded", isHandshake: boolean): void {
    const { metrics } = this.#parts;
    if (isHandshake) metrics.handshakeRefused(because);
    else metrics.turnedAway(because);
  }

  /** The client's address can't be determined, and a guess might be what the sender wants. */
  #refuseForwarded(isHandshake: boolean): Response {
    this.#count("forwarded", isHandshake);
    // Once an hour: the header is the sender's own, and says nothing that helps.
    const hour = String(Math.floor(this.#parts.elapsed() / hourMs));
    this.#warnOnce("forwarding headers contradict each other", hour, {
      cure: "let the proxy remove the header Forwarded, or X-Forwarded-For if it writes Forwarded itself",
    });
    return textResponse("Forwarded and X-Forwarded-For contradict each other\n", 400);
  }
}

const isHandshake = (request: Request, pathname: string) =>
  pathname === "/trpc" && asksForUpgrade(request);

/** What an operator can do about a refused origin that should have been accepted. */
function cureOf(origin: string | null, isOwnPage: boolean): string {
  if (origin === null) return "ALLOW_NO_ORIGIN=true, if clients other than browsers may connect";
  if (origin === "null") return "none: a sandboxed frame or a local file has no origin to allow";
  if (isOwnPage) return `PUBLIC_URL=${origin}, if that is this server's page`;
  return `add ${origin} to CORS_ORIGIN, if that page may connect`;
}

/**
 * The path of a request whose URL is valid: every route relies on that. A malformed `Host` header makes the URL invalid.
 * HTTP/1.0 has no `Host` (RFC 9112, 3.2), and its URL is a path: a probe is answered all the same.
 */
function pathnameOf({ url }: Request): string | undefined {
  if (probes.has(url)) return url;
  return URL.parse(url)?.pathname;
}
