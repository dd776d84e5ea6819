/** What becomes of a socket or an HTTP request that arrives: who it is, and the context in which its calls are made. */
import type { Subject } from "../domain/moderation.ts";
import type { Admission } from "../http/admission.ts";
import type { OpenResponse } from "../http/open-responses.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Context, createContexts } from "../rpc/context.ts";
import { nobody, type Credentials, type Identity } from "../rpc/identity.ts";
import { checkProtocol } from "../rpc/protocol-version.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { System } from "../system.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import type { ConnectRequest } from "../trpc-ws/options.ts";
import { askAfterMs, runAt, watchExpiry } from "./expiry.ts";
import type { AdmittedSocket } from "./upgrade.ts";

export interface ArrivalsParts {
  contexts: ReturnType<typeof createContexts>;
  /** Throws a refusal, also later. Without it all are anonymous. */
  authenticate: ((credentials: Credentials) => MaybePromise<Identity>) | undefined;
  admission: Admission;
  signaling: Signaling;
  system: Pick<System, "now" | "random" | "schedule">;
  /** The address at the other end of a request's connection. */
  addressOf: (request: Request) => string | undefined;
}

/** A context, and what it is the context of. */
interface Arrived {
  context: Context;
  socket: { close(code: number, reason: string): void };
}

function isOf({ connection }: Context, { kind, id }: Subject): boolean {
  const { identity, caller, addressHash } = connection;
  if (kind === "account") return identity.account === id;
  return id === (kind === "session" ? caller?.sessionId : addressHash);
}

export class Arrivals {
  readonly #parts: ArrivalsParts;
  /** Sockets whose identity holds only until a time. */
  readonly #expiries = new Map<AdmittedSocket, () => void>();
  /** Subscriptions over HTTP. */
  readonly #responses = new Set<Arrived>();

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /** A socket has sent its connection parameters. @throws a refusal, also later */
  ofSocket(request: ConnectRequest<AdmittedSocket>): MaybePromise<Context> {
    const { authenticate } = this.#parts;
    const { headers, data, connectionParams } = request;
    const { token: _, protocol, ...params } = connectionParams;
    checkProtocol(protocol);
    if (!authenticate) return this.#begin(request, nobody);
    const identifying = authenticate({ headers, params, address: data.address ?? "" });
    return chain(identifying, (identity) => this.#begin(request, identity));
  }

  #begin(request: ConnectRequest<AdmittedSocket>, identity: Identity): Context {
    const { contexts, system } = this.#parts;
    const { connectionParams, data, socket } = request;
    const { token } = connectionParams;
    const sessionToken = typeof token === "string" ? token : undefined;
    const context = contexts.forSocket(sessionToken, data.addressHash, socket, identity);
    const { expiresAt } = identity;
    // It may have closed while the operator was asked.
    if (expiresAt !== undefined && socket.open)
      this.#expiries.set(data, watchExpiry({ socket, expiresAt, system }));
    return context;
  }

  /** Closes the connections of a subject, which leave room and lobby at once. */
  disconnect(subject: Subject, sockets: Iterable<Arrived>): void {
    for (const { context, socket } of [...sockets, ...this.#responses]) {
      if (!isOf(context, subject)) continue;
      const { caller } = context.connection;
      const leaving = caller && this.#parts.signaling.leave(caller);
      const close = () => socket.close(closeCodes.disconnected, "disconnected");
      if (leaving instanceof Promise) void leaving.then(close, close);
      else close();
    }
  }

  #keep(context: Context, response: OpenResponse): void {
    // The client has gone while the operator was asked.
    if (response.request.signal.aborted) return;
    const arrived: Arrived = { context, socket: response };
    this.#responses.add(arrived);
    const forget = () => this.#responses.delete(arrived);
    response.request.signal.addEventListener("abort", forget, { once: true });
  }

  #endBefore(expiresAt: number, response: OpenResponse): void {
    if (response.request.signal.aborted) return;
    const { system } = this.#parts;
    const at = system.now() + askAfterMs(expiresAt, system);
    const cancel = runAt(at, () => response.close(), system);
    response.request.signal.addEventListener("abort", cancel, { once: true });
  }

  /** A socket has closed. */
  leave(socket: AdmittedSocket): void {
    this.#expiries.get(socket)?.();
    this.#expiries.delete(socket);
    socket.release();
  }

  /**
   * @param response of a subscription, which stays open until what the peer was authenticated by is about to expire: then its client opens
   * another one.
   * @throws a refusal, also later
   */
  ofRequest(request: Request, response?: OpenResponse): MaybePromise<Context> {
    const { contexts, authenticate, admission, addressOf } = this.#parts;
    const { headers } = request;
    checkProtocol(headers.get("x-peer-stream-protocol") ?? undefined);
    const address = admission.addressOf(headers, addressOf(request));
    const addressHash = admission.hashOf(address);
    const begin = (identity: Identity) => {
      const { expiresAt } = identity;
      if (response && expiresAt !== undefined) this.#endBefore(expiresAt, response);
      const authorization = headers.get("authorization");
      const context = contexts.forRequest(authorization, addressHash, identity, response);
      if (response) this.#keep(context, response);
      return context;
    };
    if (!authenticate) return begin(nobody);
    const auth = headers.get("x-peer-stream-auth");
    return chain(authenticate({ headers, params: auth === null ? {} : { auth }, address }), begin);
  }
}
