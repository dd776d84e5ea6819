/** tRPC over plain HTTP: events as server-sent events, calls in batches, and the token in a header. */
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from "@trpc/client";
import { CallLane } from "./call-lane.ts";
import { responseOf } from "./diagnosis.ts";
import { httpUrlOf } from "./endpoint-url.ts";
import { createEventSources, type EventSources } from "./event-source.ts";
import type { Rpc, AnyAppRouter } from "./mutations.ts";
import type { Timers, Fetch } from "./platform.ts";
import type { TokenStore } from "./token-store.ts";
import { credentialHeaders, type Transport } from "./transport.ts";

/** A call that is not answered within this time has failed (milliseconds). */
const CALL_MS_MAX = 10_000;
/** Calls in one request; the server takes no more (`limits.httpBatchCallsMax`). */
const BATCH_CALLS_MAX = 10;

/** What RPC over HTTP is made of. */
export interface RpcHttpParts {
  /** The `ws:` or `wss:` URL of tRPC's endpoint. */
  url: string;
  tokens: TokenStore;
  auth: () => Promise<string | undefined>;
  fetch: Fetch;
  timers: Timers;
  /** Returns a number in [0, 1). */
  random: () => number;
}

/**
 * tRPC over plain HTTP, for networks that cut WebSockets. Nothing is retried: a stream that ends reports an error, and
 * whoever subscribed decides when to subscribe again.
 *
 * Requests have no order, so mutations are made one batch after the other.
 */
export class RpcHttp implements Transport {
  readonly kind = "http";
  readonly rpc: Rpc;
  readonly #parts: RpcHttpParts;
  readonly #sources: EventSources;
  readonly #lane: CallLane;
  readonly #requests = new Set<AbortController>();
  #isEnded = false;
  /** A token that the server did not accept: without it `events` begins a new session. */
  #refusedToken: string | undefined;

  constructor(parts: RpcHttpParts) {
    const url = httpUrlOf(parts.url);
    const headers = () => this.#headers();
    this.#parts = parts;
    this.#lane = new CallLane(BATCH_CALLS_MAX, parts.random, parts.timers);
    this.#sources = createEventSources(parts.fetch, headers, parts.timers);
    this.rpc = createTRPCClient<AnyAppRouter>({
      links: [
        splitLink({
          condition: ({ type }) => type === "subscription",
          true: httpSubscriptionLink({ url, EventSource: this.#sources.EventSource }),
          false: httpBatchLink({
            url,
            headers,
            maxItems: BATCH_CALLS_MAX,
            fetch: (target, init) => this.#fetchAnswer(String(target), init as RequestInit),
          }),
        }),
      ],
    });
  }

  inOrder<T>(call: () => Promise<T>): Promise<T> {
    return this.#lane.run(call);
  }

  confirm(): void {}

  renew(): void {
    this.#sources.drop();
  }

  /** Requests have no order. What has not been sent yet would come after the message, so it is dropped. */
  sendLast(): void {
    this.#lane.clear();
  }

  end(): void {
    this.#isEnded = true;
    this.#lane.clear();
    this.#sources.drop();
    for (const request of this.#requests) request.abort();
  }

  async #headers(): Promise<Record<string, string>> {
    const auth = await this.#parts.auth();
    const token = this.#parts.tokens.read();
    return credentialHeaders(token === this.#refusedToken ? undefined : token, auth);
  }

  dropToken(): boolean {
    const token = this.#parts.tokens.read();
    if (token === undefined || token === this.#refusedToken) return false;
    this.#refusedToken = token;
    return true;
  }

  /** The whole response, within the time limit. */
  async #fetchAnswer(url: string, init: RequestInit): Promise<Response> {
    if (this.#isEnded) throw new Error("the connection has been closed");
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timeout = this.#parts.timers.setTimeout(abort, CALL_MS_MAX);
    init.signal?.addEventListener("abort", abort);
    this.#requests.add(controller);
    try {
      const { signal } = controller;
      const answer = await this.#parts.fetch(url, { ...init, cache: "no-store", signal });
      const response = responseOf(answer);
      if (!response) throw new Error("there is no response");
      const { status, headers } = response;
      return new Response(await response.text(), { status, headers });
    } finally {
      this.#parts.timers.clearTimeout(timeout);
      init.signal?.removeEventListener("abort", abort);
      this.#requests.delete(controller);
    }
  }
}
