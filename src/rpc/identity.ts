/**
 * Who a peer is to the operator: asked once per socket and once per HTTP request, by the operator's `authenticate` hook. Without
 * that hook everybody is anonymous, and nothing here runs.
 */
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import { isRefusal, refusal } from "./errors.ts";

/** What the operator's own procedures are told of the connection that they are called on. */
export interface PeerContext {
  /** As `authenticate` gave it; absent for anonymous peers. */
  readonly account: string | undefined;
  /** The id of the peer's session, as hooks and logs have it; absent until its `events` are open, and over HTTP without a token. */
  readonly session: string | undefined;
  /** As `authenticate` gave them, or `{}`. */
  readonly facts: Facts;
}

import { callHook, type HookParts } from "./hook-call.ts";

/** What `authenticate` is told about a socket or an HTTP request. */
export interface Credentials {
  /** Those of the upgrade or the request, with its cookies. */
  readonly headers: Headers;
  /**
   * The connection parameters besides the session token; clients send their credentials as `auth`. Over HTTP `{ auth }` from the
   * header `x-peer-stream-auth`, or `{}`.
   */
  readonly params: Readonly<Record<string, unknown>>;
  /** The client's IP address, as trusted proxies give it. */
  readonly address: string;
}

/** Who a peer is. */
export interface Identity {
  /**
   * The operator's own id of this peer, 1 to 128 characters. Bans, blocks, cooldowns, skips, report votes and the rate of intents
   * hold for the account; signals, queries and calls that are refused are counted for the account on each node. It is never sent to another peer. Without one the peer is anonymous.
   */
  readonly account?: string | undefined;
  /**
   * What the operator knows of the peer, for its own procedures and hooks. Those of dimensions that are declared `by: "claims"` also decide
   * who is paired with it.
   */
  readonly facts?: Facts | undefined;
  /**
   * Only peers of the same lobby meet, 1 to 64 characters. The peer can't choose another one. Default: one of `lobbies` that it states
   * itself, or `main`.
   */
  readonly lobby?: string | undefined;
  /**
   * Until when this holds (epoch milliseconds). Before that the peer is asked to reconnect, and is authenticated anew; when it can't be,
   * it is removed.
   */
  readonly expiresAt?: number | undefined;
}

export type Facts = Readonly<Record<string, unknown>>;

/**
 * The operator's hook. `refuse("unauthorized")` turns the peer away for good. When it throws, or takes longer than 2 s, the peer is
 * turned away as `unauthorized` with `retryAfterMs`, and tries again.
 */
export type Authenticate = (credentials: Credentials) => MaybePromise<Identity | Rejection>;

/** Characters of an account and of a lobby's name. */
export const accountCharsMax = 128;
export const lobbyCharsMax = 64;

/** What those are told whom the operator does not let in, or could not ask about. */
const refused = "You are not signed in here";
const unknown = "It could not be found out who you are";

/** What a peer is that nothing is known of. */
export const nobody: Identity = Object.freeze({});

export interface AuthenticatorParts extends HookParts {
  authenticate: Authenticate;
  /** Epoch milliseconds. */
  now: () => number;
}

/** @throws the refusal, by the returned function or its promise. */
export function createAuthenticator(
  parts: AuthenticatorParts,
): (credentials: Credentials) => MaybePromise<Identity> {
  const { authenticate, now } = parts;
  return (credentials) => {
    const failed = (retryAfterMs: number) => reject("unauthorized", { retryAfterMs });
    const answered = callHook(
      "authenticate",
      () => authenticate(credentials),
      failed,
      parts,
      check,
    );
    return chain(answered, (identity) => {
      if (isRejection(identity))
        throw identity.reason === "unauthorized"
          ? refusal(identity, identity.retryAfterMs === undefined ? refused : unknown)
          : refusal(identity);
      if (identity.expiresAt !== undefined && identity.expiresAt <= now())
        throw refusal(reject("unauthorized"), refused);
      return identity;
    });
  };
}

/** @throws what is wrong with an answer of the hook, for the operator's log. */
function check(answer: unknown): Identity | Rejection {
  if (isRefusal(answer)) return answer;
  if (typeof answer !== "object" || answer === null)
    throw new TypeError(`authenticate must return an object or refuse(…), not ${String(answer)}`);
  const { account, facts, lobby, expiresAt } = answer as Record<keyof Identity, unknown>;
  if (account !== undefined && !isName(account, accountCharsMax))
    throw new TypeError(`account must be a text of 1 to ${accountCharsMax} printable characters`);
  if (lobby !== undefined && !isName(lobby, lobbyCharsMax))
    throw new TypeError(`lobby must be a text of 1 to ${lobbyCharsMax} printable characters`);
  if (facts !== undefined && (typeof facts !== "object" || facts === null))
    throw new TypeError("facts must be an object");
  if (expiresAt !== undefined && !(typeof expiresAt === "number" && Number.isFinite(expiresAt)))
    throw new TypeError("expiresAt must be a number of epoch milliseconds");
  return { account, facts, lobby, expiresAt } as Identity;
}

/** Whether it can be an account or the name of a lobby. Control characters would break logs; halves of characters are all made equal by storage, and by what is signed. */
export const isName = (value: unknown, charsMax: number): value is string =>
  typeof value === "string" &&
  value.length <= charsMax &&
  value.isWellFormed() &&
  /^[^\p{Cc}]+$/u.test(value);
