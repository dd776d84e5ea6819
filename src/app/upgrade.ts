/** Upgrades HTTP requests to WebSockets, or refuses them. */
import type { Admission, Admitted, Refused } from "../http/admission.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { UpgradeSocket } from "../trpc-ws/bun.ts";
import { retryLater } from "./responses.ts";

/** What is known of a socket when it is upgraded. */
export interface AdmittedSocket {
  addressHash: string;
  /** Only if somebody asks for it. */
  address: string | undefined;
  /** Gives its place back; called when it has closed. */
  release(): void;
}

export interface UpgradeParts {
  admission: Admission;
  upgrade: UpgradeSocket<AdmittedSocket>;
  metrics: Metrics;
  /** Whether sockets are refused because the server shuts down. */
  isDraining: () => boolean;
  /** The address at the other end of a request's connection. */
  addressOf: (request: Request) => string | undefined;
}

/** @param server `null`: there is none that could upgrade. Returns `undefined` once the request is upgraded. */
export type UpgradeHandler = (
  request: Request,
  server: Server | null,
) => MaybePromise<Response | undefined>;

type Server = Parameters<UpgradeSocket<AdmittedSocket>>[0];

export const asksForUpgrade = ({ headers }: Request) =>
  headers.get("upgrade")?.toLowerCase() === "websocket";

/** Takes a place for a connection that stays open, a socket or a stream of events; or the response that refuses it. */
export type TakePlace = (request: Request) => MaybePromise<Admitted | Response>;

export function createTakePlace(parts: Omit<UpgradeParts, "upgrade">): TakePlace {
  const { admission, metrics, isDraining, addressOf } = parts;
  function answer(admitted: Admitted | Refused): Admitted | Response {
    if (!("status" in admitted)) return admitted;
    const { status, reason, retryAfterS } = admitted;
    metrics.handshakeRefused(reason);
    const text = status === 429 ? "Too many handshakes\n" : "No place at the moment\n";
    return retryLater(status, retryAfterS, text);
  }
  return (request) => {
    if (!isDraining()) return chain(admission.admit(request.headers, addressOf(request)), answer);
    metrics.handshakeRefused("draining");
    return retryLater(503, 1, "This server shuts down\n");
  };
}

export function createUpgradeHandler(
  { isDraining, upgrade, metrics }: Pick<UpgradeParts, "isDraining" | "upgrade" | "metrics">,
  takePlace: TakePlace,
): UpgradeHandler {
  function finish(request: Request, server: Server, admitted: Admitted | Response) {
    if (admitted instanceof Response) return admitted;
    if (upgrade(server, request, admitted)) return undefined;
    admitted.release();
    metrics.handshakeRefused("malformed");
    return expectedWebSocket();
  }

  return (request, server) => {
    if (!isDraining() && (!server || !asksForUpgrade(request))) return expectedWebSocket();
    return chain(takePlace(request), (admitted) => finish(request, server as Server, admitted));
  };
}

const expectedWebSocket = () => new Response("Expected a WebSocket\n", { status: 426 });
