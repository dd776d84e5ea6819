/** What `authenticate` grants until a time: before that the client is asked to reconnect, and then it has to go. */
import type { Context } from "../rpc/context.ts";
import type { Signaling } from "../signaling/signaling.ts";
import type { System } from "../system.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import type { ConnectRequest } from "../trpc-ws/options.ts";
import { askToReconnect } from "../trpc-ws/trpc-web-socket.ts";

/** How long before the end the client is asked (milliseconds), but at most this share of the whole time. */
const askBeforeMs = 60_000;
const askBeforeShareMax = 0.5;

export interface ExpiringSocket {
  context: Context;
  socket: ConnectRequest<unknown>["socket"];
  /** Epoch milliseconds. */
  expiresAt: number;
  signaling: Signaling;
  system: Pick<System, "now" | "random" | "schedule">;
}

/** When a client is to authenticate anew: at different moments, as many may have been authenticated at once. */
export function askAfterMs(
  expiresAt: number,
  { now, random }: Pick<System, "now" | "random">,
): number {
  const lifeMs = expiresAt - now();
  const beforeMs = Math.min(askBeforeMs, askBeforeShareMax * lifeMs);
  return lifeMs - beforeMs * (1 - random() / 2);
}

/** Returns what cancels it, for when the socket has closed. */
export function watchExpiry(expiring: ExpiringSocket): () => void {
  const { socket, expiresAt, system } = expiring;
  const cancels = [
    system.schedule(askAfterMs(expiresAt, system), () => askToReconnect(socket)),
    system.schedule(expiresAt - system.now(), () => void remove(expiring)),
  ];
  return () => {
    for (const cancel of cancels) cancel();
  };
}

/**
 * A client that has authenticated anew has moved its events to another socket by now, and nothing changes for it. One that could not leaves
 * room and lobby at once: without a grace, as it would be refused.
 */
async function remove({ context, socket, signaling }: ExpiringSocket): Promise<void> {
  const { caller, subscriptions } = context.connection;
  if (caller && subscriptions > 0) await signaling.leave(caller);
  socket.close(closeCodes.expired, "expired");
}
