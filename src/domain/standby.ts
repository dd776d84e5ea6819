/**
 * Standing offers: a waiting peer leaves an offer with its ticket, and its next partner receives that offer with the pairing, so it does not have
 * to be made and sent at that moment. The engine stores the offer; this file has the rules. `finishChange` in change.ts drops it.
 */
import type { Mode, StandingOffer } from "../protocol.ts";
import { finishChange, startChange, type Change } from "./change.ts";
import { exceedsMode } from "./media-sections.ts";
import { reject, type Rejection } from "./rejection.ts";
import type { Session } from "./session.ts";

/** An offer as an engine keeps it. */
export interface MeasuredOffer {
  sdp: string;
  /** The whole offer. */
  json: string;
  /** Of that in UTF-8. */
  bytes: number;
}

export function measured(offer: StandingOffer): MeasuredOffer {
  const json = JSON.stringify(offer);
  return { sdp: offer.sdp, json, bytes: Buffer.byteLength(json) };
}

/** `full`: it would have been kept, but for the bytes that are kept already. */
export interface OfferKept {
  kept: boolean;
  full?: true;
}

/**
 * The session leaves an offer in place of the one before, or takes that back. It is kept while the session waits in a mode with media;
 * `wrong-mode` if it has media that the mode has not, and then the one before stays.
 * @param hasRoom whether so many bytes more may be kept for this session, in place of what it has.
 */
export function leaveOffer(
  session: Session,
  offer: MeasuredOffer | undefined,
  hasRoom: (bytes: number) => boolean,
): Change<OfferKept> | Rejection {
  const draft = startChange(session, undefined);
  const { member } = draft;
  member.standby = undefined;
  const mode = session.present ? session.ticket?.wishes.mode : undefined;
  if (!offer || mode === undefined || mode === "text") return finishChange(draft, { kept: false });
  const { sdp, bytes } = offer;
  if (exceedsMode(sdp, mode)) return reject("wrong-mode");
  if (!hasRoom(bytes)) return finishChange(draft, { kept: false, full: true });
  member.standby = { bytes, addressHash: session.addressHash };
  return finishChange(draft, { kept: true });
}

/**
 * Which of two who are paired has left an offer that is used in their room: of both, the one that has waited for longer, or else `one`. If only its
 * partner hides addresses it is of no use, as the connection that it is of would send packets from addresses that the room hides.
 */
export function standingOfferer(one: Session, other: Session, mode: Mode): Session | undefined {
  const mine = isUsable(one, other, mode);
  const others = isUsable(other, one, mode);
  if (!mine || !others) return mine ? one : others ? other : undefined;
  return (other.ticket?.since ?? 0) < (one.ticket?.since ?? 0) ? other : one;
}

/** Two who meet again do so in the mode of their last room, whatever they wait for now. */
const isUsable = ({ standby, ticket }: Session, partner: Session, mode: Mode): boolean =>
  standby !== undefined &&
  ticket?.wishes.mode === mode &&
  (ticket.wishes.relayOnly || !(partner.ticket ?? partner).wishes?.relayOnly);
