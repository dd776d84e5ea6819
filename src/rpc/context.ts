/** What a procedure knows about the connection that it is called on. */
import { lobbyNamed, mainLobby } from "../domain/lobby.ts";
import { isRejection, reject, type Rejection } from "../domain/rejection.ts";
import type { Caller } from "../engine/engine.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Delivered, Stats, StatusAnswer } from "../protocol.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { Admit, AskedWishes } from "./admit.ts";
import type { CallLimits, Turnstile } from "./call-limits.ts";
import { refusal } from "./errors.ts";
import type { JoinClaims } from "./facts-input.ts";
import type { JoinGate, Passed } from "./join-gate.ts";
import { nobody, type Facts, type Identity, type PeerContext } from "./identity.ts";
import type { AskLane } from "./lane.ts";
import type { MessageReview } from "./message-review.ts";
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
  /** Over HTTP what carries a subscription; absent for other calls. */
  readonly socket: Closable | undefined;
  /** Keyed hash of the bucket of the address that it comes from. */
  readonly addressHash: string;
  readonly identity: Identity;
  /** Created for the first call that has to be awaited. */
  turnstile: Turnstile | undefined;
  /** Subscriptions open on it. */
  subscriptions: number;
  /** See `JoinGate`. */
  passed: Passed | undefined;
}

export interface Context extends PeerContext {
  readonly signaling: Signaling;
  readonly limits: CallLimits;
  readonly connection: Connection;
  /** The names of the lobbies that a peer can choose which the operator has put into none. */
  readonly lobbies: readonly string[];
  /** For how long the peer's identity still holds (milliseconds); Infinity unless it expires. */
  identityMs(): number;
  /** A session token of this connection, valid from now on. */
  signToken(): string;
  /** Enters a lobby, if the operator's `admit` hook allows it. @throws a refusal of a lobby that the peer can't choose */
  join(caller: Caller, wishes: AskedWishes): MaybePromise<StatusAnswer | Rejection>;
  /** Leaves the room for the next partner, or enters the lobby. */
  skip(caller: Caller, roomId: string | undefined): MaybePromise<StatusAnswer | Rejection>;
  /** Counts of the lobby that a `join` would lead to. @throws a refusal of one that the peer can't choose */
  stats(lobby: string | undefined): Promise<Stats | Rejection>;
  /** Sends the partner a text, if the operator's `message` hook lets it pass. @param json a text as a string in JSON. */
  say(caller: Caller, roomId: string, json: string): MaybePromise<Delivered | Rejection>;
  /** Tells the partner whether this peer types, after the texts before. */
  typing(caller: Caller, roomId: string, typing: boolean): MaybePromise<Delivered | Rejection>;
  /** Asks to meet the other member of an ended room again. */
  again(caller: Caller, roomId: string): MaybePromise<StatusAnswer | Rejection>;
}

/** A class, as there is one per socket, and closures would cost memory for each of them. */
class ConnectionContext implements Context {
  readonly #parts: ContextParts;
  readonly connection: Connection;
  /** Of the last join that has passed the gate: the version of the rules that it agreed to, if any. */
  #passed: Pick<AskedWishes, "agreed"> | undefined;
  /** Whether the `admit` hook has let it in when it was asked last. */
  #isAdmitted = false;
  /** Whether the `lane` hook has been asked: after that only joins ask it again. */
  #hasAskedLane = false;

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

  get account(): string | undefined {
    return this.connection.identity.account;
  }

  get session(): string | undefined {
    return this.connection.caller?.sessionId;
  }

  get facts(): Facts {
    return this.connection.identity.facts ?? noFacts;
  }

  get lobbies(): readonly string[] {
    return this.#parts.lobbies ?? onlyMain;
  }

  identityMs(): number {
    const { expiresAt } = this.connection.identity;
    if (expiresAt === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, expiresAt - this.#parts.now());
  }

  signToken(): string {
    const { tokens, now } = this.#parts;
    return tokens.sign(this.connection.caller ?? anonymous, now(), this.account);
  }

  join(caller: Caller, asked: AskedWishes): MaybePromise<StatusAnswer | Rejection> {
    const { gate } = this.#parts;
    if (isAnonymous(caller)) return notSubscribed;
    if (!gate) return this.#enter(caller, asked);
    return chain(gate.pass(this.connection, caller.sessionId, asked), (passed) => {
      if (isRejection(passed)) return passed;
      this.#passed = { agreed: asked.agreed };
      return this.#enter(caller, passed);
    });
  }

  #enter(caller: Caller, asked: AskedWishes): MaybePromise<StatusAnswer | Rejection> {
    const { admit, claims, signaling } = this.#parts;
    const lobby = this.#lobbyFor(asked.lobby);
    const wishes = claims ? claims.addTo(asked, this.connection.identity.facts) : asked;
    const enter = () =>
      chain(this.#askLane(caller), (lane) =>
        signaling.join(caller, wishes, lobby, lane, this.connection.addressHash),
      );
    if (!admit) return enter();
    return chain(this.#ask(admit, caller, { ...wishes, lobby }), (refused) =>
      isRejection(refused) ? refused : enter(),
    );
  }

  skip(caller: Caller, roomId: string | undefined): MaybePromise<StatusAnswer | Rejection> {
    if (isAnonymous(caller)) return notSubscribed;
    const claimed = this.#parts.claims?.read(this.connection.identity.facts);
    const skip = () =>
      this.#ifAdmitted(caller, () =>
        chain(this.#hasAskedLane ? undefined : this.#askLane(caller), (lane) =>
          this.signaling.skip(caller, roomId, claimed, lane),
        ),
      );
    const { gate } = this.#parts;
    if (!gate || (this.#passed && gate.holds(this.connection))) return skip();
    // One who is not idle has passed the gate, earlier or on another connection.
    return chain(this.signaling.isIdle(caller), (isIdle) => {
      if (isIdle !== true) return isRejection(isIdle) ? isIdle : skip();
      const wishes = { ...unstatedWishes, ...this.#passed };
      return chain(gate.pass(this.connection, caller.sessionId, wishes), (passed) =>
        isRejection(passed) ? passed : skip(),
      );
    });
  }

  again(caller: Caller, roomId: string): MaybePromise<StatusAnswer | Rejection> {
    if (isAnonymous(caller)) return notSubscribed;
    return this.#ifAdmitted(caller, () => this.signaling.again(caller, roomId));
  }

  say(caller: Caller, roomId: string, json: string): MaybePromise<Delivered | Rejection> {
    const { review, signaling } = this.#parts;
    if (!review) return signaling.talk.say(caller, roomId, json);
    const { account, facts } = this.connection.identity;
    const text = JSON.parse(json) as string;
    const session = caller.sessionId;
    return review.say(caller, { text, roomId, session, account, facts });
  }

  typing(caller: Caller, roomId: string, typing: boolean): MaybePromise<Delivered | Rejection> {
    const { review, signaling } = this.#parts;
    const tell = () => signaling.talk.typing(caller, roomId, typing);
    return review ? review.afterTexts(caller.sessionId, tell) : tell();
  }

  /** An idle peer enters the lobby or a room by such a call, as by a join without any wishes. */
  #ifAdmitted(
    caller: Caller,
    call: () => MaybePromise<StatusAnswer | Rejection>,
  ): MaybePromise<StatusAnswer | Rejection> {
    const { admit, claims } = this.#parts;
    if (!admit || this.#isAdmitted) return call();
    const unstated = { ...unstatedWishes, lobby: this.#lobbyFor(undefined) };
    const wishes = claims ? claims.addTo(unstated, this.connection.identity.facts) : unstated;
    return chain(this.#ask(admit, caller, wishes), (refused) =>
      isRejection(refused) ? refused : call(),
    );
  }

  async stats(lobby: string | undefined): Promise<Stats | Rejection> {
    return this.#parts.signaling.stats(this.#lobbyFor(lobby));
  }

  /** The lobby that the operator has put the peer into; without one, that which it states. @throws a refusal of any other */
  #lobbyFor(stated: string | undefined): string | undefined {
    const { lobby: own } = this.connection.identity;
    if (stated === undefined) return lobbyNamed(own);
    if (own === undefined ? this.lobbies.includes(stated) : stated === own)
      return lobbyNamed(stated);
    throw refusal(
      reject("bad-input", { field: "lobby" }),
      own === undefined ? "lobby: there is none of this name" : "lobby: you are in another one",
    );
  }

  #ask(admit: Admit, caller: Caller, wishes: AskedWishes): MaybePromise<true | Rejection> {
    const { account, facts } = this;
    return chain(admit({ account, facts, session: caller.sessionId }, wishes), (answer) => {
      this.#isAdmitted = answer === true;
      return answer;
    });
  }

  #askLane(caller: Caller): MaybePromise<number | undefined> {
    const { askLane } = this.#parts;
    if (!askLane) return undefined;
    this.#hasAskedLane = true;
    const { account, facts } = this;
    return askLane({ account, facts, session: caller.sessionId });
  }
}

const unstatedWishes: AskedWishes = {
  mode: "video",
  interests: [],
  languages: [],
  relayOnly: false,
  autoRejoin: true,
};

const noFacts: Facts = Object.freeze({});
const onlyMain: readonly string[] = [mainLobby];

/** A caller without a session: idle, in no room. */
export const anonymous: Caller = { sessionId: "", generation: 0 };

/** It enters nothing, and no hook and no challenge is asked: what one of them passed would hold for all who have no session yet. */
const isAnonymous = ({ sessionId }: Caller) => sessionId === anonymous.sessionId;
const notSubscribed = reject("not-subscribed");

export interface ContextParts {
  signaling: Signaling;
  tokens: SessionTokens;
  limits: CallLimits;
  /** Epoch milliseconds. */
  now: () => number;
  /** Unguessable: see `Engine.newSessionId`. */
  newSessionId: (account: string | undefined) => string;
  /** The operator's hook before a join; without it everybody may. */
  admit?: Admit | undefined;
  /** Asks the operator's hook for a peer's lane; without it that is decided by conduct. */
  askLane?: AskLane | undefined;
  /** The operator's hook before a text is delivered; without it each is. */
  review?: MessageReview | undefined;
  /** What a peer has to do before it may join; without it nothing. */
  gate?: JoinGate | undefined;
  /** The names of the lobbies that peers can choose. Default: `main`. */
  lobbies?: readonly string[] | undefined;
  /** What the operator states of peers; absent: nothing that decides who is paired. */
  claims?: JoinClaims | undefined;
}

/**
 * The key by which a connection's calls are limited on this node: its account, so that further sessions of it gain nothing, or its
 * session. Intents of an account that are carried out are also counted with it, over all nodes: `takeIntent` in domain/change.ts.
 */
export function limitKeyOf({ identity }: Connection, caller: Caller): string {
  // Sessions have no `@` in their ids.
  return identity.account === undefined ? caller.sessionId : `@${identity.account}`;
}

/** Makes contexts: one per socket, from `connectionParams`; one per HTTP request, from its header. */
export function createContexts(parts: ContextParts) {
  const { tokens, now, newSessionId } = parts;

  function contextOf(
    begun: Pick<Connection, "kind" | "caller" | "addressHash" | "socket" | "identity">,
  ): Context {
    const { kind, caller, addressHash, socket, identity } = begun;
    const connection: Connection = {
      kind,
      caller,
      addressHash,
      socket,
      identity,
      beginning: undefined,
      newSessionId: newSessionId(identity.account),
      turnstile: undefined,
      subscriptions: 0,
      passed: undefined,
    };
    return new ConnectionContext(parts, connection);
  }

  return {
    /** With a token that is invalid, expired or of another account `events` begins a new session. */
    forSocket(
      token: string | undefined,
      addressHash: string,
      socket: Closable,
      identity = nobody,
    ): Context {
      const { account } = identity;
      const caller = token === undefined ? undefined : tokens.verify(token, now(), account);
      return contextOf({ kind: "socket", caller, addressHash, socket, identity });
    },
    /**
     * Throws `unauthorized` for a token that is not valid, or of another account; without any, only the public queries work,
     * and `events`, which begins a session.
     * @param response what carries a subscription.
     */
    forRequest(
      authorization: string | null,
      addressHash: string,
      identity = nobody,
      response?: Closable,
    ): Context {
      const { account } = identity;
      const token = authorization === null ? undefined : /^Bearer (.+)$/i.exec(authorization)?.[1];
      const caller = token === undefined ? undefined : tokens.verify(token, now(), account);
      if (authorization !== null && !caller) throw refusal(reject("unauthorized"));
      return contextOf({ kind: "http", caller, addressHash, socket: response, identity });
    },
  };
}
