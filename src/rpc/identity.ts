/** Who a peer is to the operator: what the `authenticate` hook is told, and what it answers. */
import type { Rejection } from "../domain/rejection.ts";
import type { MaybePromise } from "../maybe-promise.ts";

/** What `authenticate` is told about a socket or an HTTP request. */
export interface Credentials {
  readonly headers: Headers;
  /** The connection parameters besides the session token. Over HTTP `{ auth }` from the header `x-peer-stream-auth`, or `{}`. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The client's IP address, as trusted proxies give it. */
  readonly address: string;
}

/** Who a peer is. */
export interface Identity {
  readonly account?: string | undefined;
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly lobby?: string | undefined;
  /** Epoch milliseconds. */
  readonly expiresAt?: number | undefined;
}

export type Authenticate = (credentials: Credentials) => MaybePromise<Identity | Rejection>;
