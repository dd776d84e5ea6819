/** What a procedure knows of the connection it is called on. */
import { limits as protocolLimits } from "../protocol.ts";
import { reject } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import type { Signaling } from "../signaling.ts";
import { createTurnstile, type CallLimits, type Turnstile } from "./call-limits.ts";
import { refusal } from "./errors.ts";
import type { SessionTokens } from "./session-token.ts";

/** Once per socket, or once per HTTP request. */
export interface Connection {
  readonly kind: "socket" | "http";
  /** Whom the token names, or the session that `events` began. */
  caller: Caller | undefined;
  /** While an `events` is beginning: whoever calls in that moment calls as the session that it begins. */
  beginning: Promise<void> | undefined;
  /** The session that `events` begins here, if the token names none. */
  readonly newSessionId: string;
  /** Closes the socket so that the peer comes back and resumes. */
  readonly comeBack: () => void;
  /** A keyed hash of the address bucket it comes from. */
  readonly addressHash: string;
  readonly turnstile: Turnstile;
  /** Subscriptions open on it. */
  subscriptions: number;
}

export interface Context {
  readonly signaling: Signaling;
  readonly limits: CallLimits;
  readonly connection: Connection;
  /** The connection's session token, its life renewed. */
  readonly signToken: () => string;
}

/** A caller without a session: idle, in no room. */
export const nobody: Caller = { sessionId: "", claim: 0 };

export interface ContextParts {
  signaling: Signaling;
  tokens: SessionTokens;
  limits: CallLimits;
  /** Epoch milliseconds. */
  now: () => number;
  /** 128 random bits. */
  newId: () => string;
}

/** Makes contexts: one per socket, from `connectionParams`; one per HTTP request, from its header. */
export function createContexts({ signaling, tokens, limits, now, newId }: ContextParts) {
  function contextOf(
    begun: Omit<Connection, "beginning" | "newSessionId" | "turnstile" | "subscriptions">,
  ): Context {
    const connection: Connection = {
      ...begun,
      beginning: undefined,
      newSessionId: newId(),
      turnstile: createTurnstile(protocolLimits.callsInFlightMax),
      subscriptions: 0,
    };
    return {
      signaling,
      limits,
      connection,
      signToken: () => tokens.sign(connection.caller ?? nobody, now()),
    };
  }

  return {
    /** An invalid or expired token locks nobody out: `events` begins a new session. */
    forSocket(token: string | undefined, addressHash: string, comeBack: () => void): Context {
      const caller = token === undefined ? undefined : tokens.verify(token, now());
      return contextOf({ kind: "socket", caller, addressHash, comeBack });
    },
    /** Throws `unauthorized` for a token that is not valid; without any, only the public queries work. */
    forRequest(authorization: string | null, addressHash: string): Context {
      const token = authorization === null ? undefined : /^Bearer (.+)$/i.exec(authorization)?.[1];
      const caller = token === undefined ? undefined : tokens.verify(token, now());
      if (authorization !== null && !caller) throw refusal(reject("unauthorized"));
      return contextOf({ kind: "http", caller, addressHash, comeBack: () => {} });
    },
  };
}
