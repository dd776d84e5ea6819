/** What a procedure knows about the connection that it is called on. */
import { reject } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { CallLimits, Turnstile } from "./call-limits.ts";
import { refusal } from "./errors.ts";
import type { SessionTokens } from "./session-token.ts";

interface Closable {
  close(code: number, reason: string): void;
}

/** Once per socket, or once per HTTP request. */
export interface Connection {
  readonly kind: "socket" | "http";
  /** The session of the token, or the one that `events` began. */
  caller: Caller | undefined;
  /** While `events` is beginning a session: calls wait for it, and are made as that session. */
  beginning: Promise<void> | undefined;
  /** The id of the session that `events` begins here if there is no valid token. */
  readonly newSessionId: string;
  /** Absent over HTTP. */
  readonly socket: Closable | undefined;
  /** Keyed hash of the bucket of the address that it comes from. */
  readonly addressHash: string;
  /** Created for the first call that has to be awaited. */
  turnstile: Turnstile | undefined;
  /** Subscriptions open on it. */
  subscriptions: number;
}

export interface Context {
  readonly signaling: Signaling;
  readonly limits: CallLimits;
  readonly connection: Connection;
  /** A session token of this connection, valid from now on. */
  signToken(): string;
}

/** A class, as there is one per socket, and closures would cost memory for each of them. */
class ConnectionContext implements Context {
  readonly #parts: ContextParts;
  readonly connection: Connection;

  constructor(parts: ContextParts, connection: Connection) {
    this.#parts = parts;
    this.connection = connection;
  }

  get signaling(): Signaling {
    return this.#parts.signaling;
  }

  get limits(): CallLimits {
    return this.#parts.limits;
  }

  signToken(): string {
    const { tokens, now } = this.#parts;
    return tokens.sign(this.connection.caller ?? anonymous, now());
  }
}

/** A caller without a session: idle, in no room. */
export const anonymous: Caller = { sessionId: "", generation: 0 };

export interface ContextParts {
  signaling: Signaling;
  tokens: SessionTokens;
  limits: CallLimits;
  /** Epoch milliseconds. */
  now: () => number;
  /** Unguessable: see `Engine.newSessionId`. */
  newSessionId: () => string;
}

/** Makes contexts: one per socket, from `connectionParams`; one per HTTP request, from its header. */
export function createContexts(parts: ContextParts) {
  const { tokens, now, newSessionId } = parts;

  function contextOf(
    begun: Pick<Connection, "kind" | "caller" | "addressHash" | "socket">,
  ): Context {
    const { kind, caller, addressHash, socket } = begun;
    const connection: Connection = {
      kind,
      caller,
      addressHash,
      socket,
      beginning: undefined,
      newSessionId: newSessionId(),
      turnstile: undefined,
      subscriptions: 0,
    };
    return new ConnectionContext(parts, connection);
  }

  return {
    /** With an invalid or expired token `events` begins a new session. */
    forSocket(token: string | undefined, addressHash: string, socket: Closable): Context {
      const caller = token === undefined ? undefined : tokens.verify(token, now());
      return contextOf({ kind: "socket", caller, addressHash, socket });
    },
    /** Throws `unauthorized` for a token that is not valid; without any, only the public queries work. */
    forRequest(authorization: string | null, addressHash: string): Context {
      const token = authorization === null ? undefined : /^Bearer (.+)$/i.exec(authorization)?.[1];
      const caller = token === undefined ? undefined : tokens.verify(token, now());
      if (authorization !== null && !caller) throw refusal(reject("unauthorized"));
      return contextOf({ kind: "http", caller, addressHash, socket: undefined });
    },
  };
}
