/** The standing offers of those who wait, in JSON, and how many bytes of them are kept, in total and for each address. */
import type { Change } from "../../domain/change.ts";
import { isRejection, type Rejection } from "../../domain/rejection.ts";
import type { Session, Standby } from "../../domain/session.ts";
import { leaveOffer, measured, type OfferKept } from "../../domain/standby.ts";
import type { StandingOffer } from "../../protocol.ts";
import type { StandbyLimits } from "../engine.ts";

interface Standing {
  json: string;
  counted: Standby;
}

export class StandingOffers {
  readonly #limits: StandbyLimits;
  readonly #offers = new Map<string, Standing>();
  readonly #byAddress = new Map<string | undefined, number>();
  #bytes = 0;

  constructor(limits: StandbyLimits) {
    this.#limits = limits;
  }

  /** See `Engine.standby`. What it leaves is kept at once; the change says whether that is so, and must be applied. */
  leave(session: Session, offer: StandingOffer | null): Change<OfferKept> | Rejection {
    const standing = offer === null ? undefined : measured(offer);
    const change = leaveOffer(session, standing, (bytes) => this.#hasRoom(session, bytes));
    const counted = isRejection(change) ? undefined : change.member.standby;
    if (!standing || !counted) return change;
    this.drop(session.id);
    this.#offers.set(session.id, { json: standing.json, counted });
    this.#count(counted, 1);
    return change;
  }

  /** The offer in JSON. */
  of(sessionId: string): string | undefined {
    return this.#offers.get(sessionId)?.json;
  }

  /** Idempotent. */
  drop(sessionId: string): void {
    const standing = this.#offers.get(sessionId);
    if (!standing) return;
    this.#offers.delete(sessionId);
    this.#count(standing.counted, -1);
  }

  clear(): void {
    this.#offers.clear();
    this.#byAddress.clear();
    this.#bytes = 0;
  }

  #hasRoom({ id, addressHash }: Session, bytes: number): boolean {
    const { bytesMax, bytesPerAddressMax } = this.#limits;
    const before = this.#offers.get(id)?.counted;
    const total = this.#bytes - (before?.bytes ?? 0) + bytes;
    const own = before?.addressHash === addressHash ? (before?.bytes ?? 0) : 0;
    const ofAddress = (this.#byAddress.get(addressHash) ?? 0) - own + bytes;
    return isWithin(total, bytesMax) && isWithin(ofAddress, bytesPerAddressMax);
  }

  #count({ addressHash, bytes }: Standby, by: 1 | -1): void {
    this.#bytes += by * bytes;
    const ofAddress = (this.#byAddress.get(addressHash) ?? 0) + by * bytes;
    if (ofAddress === 0) this.#byAddress.delete(addressHash);
    else this.#byAddress.set(addressHash, ofAddress);
  }
}

const isWithin = (bytes: number, max: number) => max === 0 || bytes <= max;
