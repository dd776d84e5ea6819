/**
 * What an event lacks in the log, and is added each time it is sent: ICE servers with short-lived credentials. A standing offer is logged whole; of
 * that only what the room allows is sent.
 */
import type { LogEntry } from "../domain/event-log.ts";
import { isRestricted, readRoomId, restrictOffer } from "../domain/room-id.ts";
import { iceServersFor, type IceSource } from "../ice.ts";
import { chain, type MaybePromise } from "../maybe-promise.ts";
import type { IceServer, LoggedEvent, Mode } from "../protocol.ts";
import type { System } from "../system.ts";
import type { Completed } from "./event-streams.ts";

export interface CompletionParts {
  ice: IceSource;
  system: Pick<System, "now">;
}

/**
 * @returns completes an event for the peer at an address, of which it has the keyed hash: at once, unless a provider is asked for the
 * credentials of this address. What the address was given is revoked when the event tells its peer that it is suspended.
 */
export function createCompletion({
  ice,
  system,
}: CompletionParts): (entry: LogEntry, addressHash: string) => MaybePromise<Completed> {
  /** None in a room for text, where no connection is made. */
  const iceServersOf = (mode: Mode, addressHash: string): MaybePromise<IceServer[]> =>
    mode === "text" ? [] : iceServersFor(ice, system.now(), addressHash);

  return ({ json, lacks }, addressHash) => {
    // As text: parsing the event and serializing it again would cost more than creating it.
    if (lacks === "iceServers") {
      const [, roomId = ""] = roomIdOfOffer.exec(json) ?? [];
      return chain(iceServersOf(readRoomId(roomId).mode, addressHash), (iceServers) => ({
        json: `${restricted(json, roomId).slice(0, -1)},"iceServers":${JSON.stringify(iceServers)}}`,
      }));
    }
    const event = JSON.parse(json) as Extract<LoggedEvent, { state: unknown }>;
    const { state } = event;
    if ("suspended" in event) ice.provided?.revoke(addressHash);
    if (state.status !== "paired") return { event: { ...event, state } };
    return chain(iceServersOf(state.mode, addressHash), (iceServers) => ({
      event: { ...event, state: { ...state, iceServers } },
    }));
  };
}

/** A `wait-for-offer` without what its room allows nobody to send. Any other event stays as it is. */
function restricted(json: string, roomId: string): string {
  if (!isRestricted(roomId, "offer") || !json.includes(',"offer":')) return json;
  const { offer, ...event } = JSON.parse(json) as Extract<LoggedEvent, { type: "wait-for-offer" }>;
  const allowed = offer && restrictOffer(roomId, offer);
  return JSON.stringify(allowed ? { ...event, offer: allowed } : event);
}

/** The id of the room in a `create-offer` or `wait-for-offer`. */
const roomIdOfOffer = /^\{"type":"[a-z-]+","roomId":"([^"]*)"/;
