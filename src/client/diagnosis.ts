import { httpUrlOf } from "./endpoint-url.ts";
import type { PeerStreamError } from "./state.ts";

/** A server that does not answer within this time is down (milliseconds). */
const ANSWER_MS_MAX = 10_000;

/** What stands between a page and its server. */
export type Diagnosis =
  /** Nothing that trying again would not get over: the server is down, busy or restarting. */
  | "down"
  /** Something answers, and the browser hides the answer from this page's origin. */
  | "unreadable"
  /** Trying again is of no use. */
  | PeerStreamError;

/** As much of `fetch` as is needed. */
export type Fetch = (url: string, init: RequestInit) => Promise<unknown>;

/**
 * Finds out why a WebSocket does not open. Browsers keep the answer to an upgrade from the page (WHATWG WebSockets, 3.1:
 * "fail the WebSocket connection" tells no reason), so the same URL is asked over HTTP. A Peer Stream server answers a
 * plain GET of its endpoint with 426, or with 403 and its own JSON to a page that it does not accept.
 */
export async function diagnose(serverUrl: string, fetch: Fetch): Promise<Diagnosis> {
  const url = httpUrlOf(serverUrl);
  const ask = (init: RequestInit) =>
    fetch(url, {
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      ...init,
    });
  let answer: unknown;
  try {
    answer = await ask({ headers: { accept: "application/json" } });
  } catch {
    // No answer, or one without CORS headers: a `no-cors` request tells the two apart.
    return ask({ mode: "no-cors" }).then(
      () => "unreadable",
      () => "down",
    );
  }
  return answer instanceof Response ? judge(answer, serverUrl) : "down";
}

/** Answers that pass by themselves (RFC 9110, 15.5 and 15.6; RFC 6585; RFC 8470). */
const passing: ReadonlySet<number> = new Set([408, 425, 426, 429]);

async function judge(answer: Response, serverUrl: string): Promise<Diagnosis> {
  const { status } = answer;
  const origin = status === 403 ? await refusedOrigin(answer) : undefined;
  if (origin !== undefined) {
    const message = `the server does not accept pages of ${origin}: add it to CORS_ORIGIN there`;
    return { kind: "origin-not-allowed", origin, message, cause: answer };
  }
  if (answer.redirected) {
    const message = `${serverUrl} is redirected, which a WebSocket does not follow: use the URL that ${answer.url} has as a WebSocket`;
    return { kind: "wrong-url", url: serverUrl, status, message, cause: answer };
  }
  if (status >= 500 || passing.has(status)) return "down";
  const message = `no Peer Stream server answers at ${serverUrl}: HTTP status ${status} instead of 426`;
  return { kind: "wrong-url", url: serverUrl, status, message, cause: answer };
}

/** The origin in the server's own refusal; undefined for a 403 that another server or a proxy sent. */
async function refusedOrigin(answer: Response): Promise<string | undefined> {
  try {
    const body: unknown = await answer.clone().json();
    if (typeof body !== "object" || body === null) return undefined;
    if (Reflect.get(body, "error") !== "origin-not-allowed") return undefined;
    const origin: unknown = Reflect.get(body, "origin");
    return typeof origin === "string" ? origin : "this origin";
  } catch {
    return undefined;
  }
}
