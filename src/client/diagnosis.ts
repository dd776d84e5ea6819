/** Finds out over HTTP why a socket can't be opened: another origin, a wrong URL, or a server that is down. */
import { httpUrlOf } from "./endpoint-url.ts";
import type { Timers, Fetch } from "./platform.ts";
import type { PeerStreamError } from "./state.ts";

/** A server that does not respond within this time is down (milliseconds). */
const RESPONSE_MS_MAX = 10_000;

/** Why a WebSocket does not open. */
export type Diagnosis =
  /** Temporary: the server is down, busy or restarting. */
  | "down"
  /** A server with WebSockets answers over HTTP. */
  | "up"
  /** Something responds, and the browser hides the response from this page's origin. */
  | "unreadable"
  /** Permanent. */
  | PeerStreamError;

/**
 * Finds out why a WebSocket does not open. Browsers do not show a page the response to an upgrade (WHATWG WebSockets, 3.1:
 * "fail the WebSocket connection" gives no reason), so the same URL is requested over HTTP. A Peer Stream server responds
 * to a plain GET of its endpoint with 426, or with 403 and its own JSON to a page that it does not accept.
 */
export async function diagnose(
  serverUrl: string,
  fetch: Fetch,
  { setTimeout, clearTimeout }: Timers,
): Promise<Diagnosis> {
  const url = httpUrlOf(serverUrl);
  const limit = new AbortController();
  const timeout = setTimeout(() => limit.abort(), RESPONSE_MS_MAX);
  const request = (init: RequestInit) =>
    fetch(url, { cache: "no-store", credentials: "omit", signal: limit.signal, ...init });
  try {
    const response = responseOf(await request({ headers: { accept: "application/json" } }));
    return response ? await classify(response, serverUrl) : "down";
  } catch {
    // There is no response, or it has no CORS headers. A `no-cors` request distinguishes the two.
    return await request({ mode: "no-cors" }).then(
      () => "unreadable" as const,
      () => "down" as const,
    );
  } finally {
    clearTimeout(timeout);
  }
}

/** What `fetch` has resolved with, if that is a response: of any `fetch`, which may have a class of its own. */
export function responseOf(answer: unknown): Response | undefined {
  return typeof answer === "object" && answer !== null && "status" in answer
    ? (answer as Response)
    : undefined;
}

/** Temporary statuses below 500 (RFC 9110, 15.5; RFC 6585; RFC 8470). */
const temporary: ReadonlySet<number> = new Set([408, 425, 429]);

async function classify(response: Response, serverUrl: string): Promise<Diagnosis> {
  const { status } = response;
  const origin = status === 403 ? await refusedOrigin(response) : undefined;
  if (origin !== undefined) {
    const message = `the server does not accept pages of ${origin}: add it to CORS_ORIGIN there`;
    return { kind: "origin-not-allowed", origin, message, cause: response };
  }
  if (response.redirected) {
    const message = `${serverUrl} is redirected, which a WebSocket does not follow: use the URL that ${response.url} has as a WebSocket`;
    return { kind: "wrong-url", url: serverUrl, status, message, cause: response };
  }
  if (status === 426) return "up";
  if (status >= 500 || temporary.has(status)) return "down";
  const message = `no Peer Stream server answers at ${serverUrl}: HTTP status ${status} instead of 426`;
  return { kind: "wrong-url", url: serverUrl, status, message, cause: response };
}

/** The origin in the server's own 403; undefined for a 403 of another server or of a proxy. */
async function refusedOrigin(response: Response): Promise<string | undefined> {
  try {
    const body: unknown = await response.clone().json();
    if (typeof body !== "object" || body === null) return undefined;
    if (Reflect.get(body, "error") !== "origin-not-allowed") return undefined;
    const origin: unknown = Reflect.get(body, "origin");
    return typeof origin === "string" ? origin : "this origin";
  } catch {
    return undefined;
  }
}
