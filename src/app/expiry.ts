/** What `authenticate` grants until a time: before that the client is asked to reconnect, and then it has to go. */
import type { System } from "../system.ts";
import { closeCodes } from "../trpc-ws/close-codes.ts";
import type { ConnectRequest } from "../trpc-ws/options.ts";
import { askToReconnect } from "../trpc-ws/trpc-web-socket.ts";

/** How long before the end the client is asked (milliseconds), but at most this share of the whole time. */
const askBeforeMs = 60_000;
const askBeforeShareMax = 0.5;

export interface ExpiringSocket {
  socket: ConnectRequest<unknown>["socket"];
  /** Epoch milliseconds. */
  expiresAt: number;
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

/**
 * A client that has authenticated anew has moved its events to another socket by the end. Of one that has not, room and ticket are kept no
 * longer than until then (see `graceMsMax` in signaling/event-streams.ts). Returns what cancels it, for when the socket has closed.
 */
export function watchExpiry(expiring: ExpiringSocket): () => void {
  const { socket, expiresAt, system } = expiring;
  const askAt = system.now() + askAfterMs(expiresAt, system);
  const cancels = [
    runAt(askAt, () => askToReconnect(socket), system),
    runAt(expiresAt, () => socket.close(closeCodes.expired, "expired"), system),
  ];
  return () => {
    for (const cancel of cancels) cancel();
  };
}

/** Runs a task at a time, which may be further ahead than a timer can be set. @param at epoch milliseconds. Returns what cancels it. */
export function runAt(at: number, task: () => void, system: ExpiringSocket["system"]): () => void {
  let cancel = system.schedule(at - system.now(), () => {
    if (system.now() >= at) task();
    else cancel = runAt(at, task, system);
  });
  return () => cancel();
}
