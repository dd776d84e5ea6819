/** Pairs those who meet again because of what a transaction changes (domain/again.ts), in the same commit. */
import type { SessionDraft } from "./session-codec.ts";
import { awaitedRooms, meetAgain } from "../../domain/again.ts";
import type { Surroundings } from "../../domain/change.ts";
import { personOf, type Session, type RoomProof } from "../../domain/session.ts";
import type { Transaction } from "./transaction.ts";

/** Pairs of persons, each as `blockBetween` names it. */
export type Blocks = Set<string>;

export const blockBetween = (one: string, other: string): string => `${one}\n${other}`;

/** Whom a proof names as the partner, unless a block is known between the two; that there is none is found out by the commit. */
export function partnerBy(
  proof: RoomProof | undefined,
  { value }: SessionDraft,
  { transaction, blocks }: { transaction: Transaction; blocks: Blocks },
): Session | undefined {
  const partner = proof && transaction.get(proof.partnerId)?.value;
  if (!partner) return undefined;
  const persons = [personOf(value), personOf(partner)] as const;
  if (blocks.has(blockBetween(...persons))) return undefined;
  transaction.unblocked.push(...persons);
  return partner;
}

export interface Meeting {
  /** Sessions that have to be read before it can be said who meets; then derive the transaction again. */
  unread: string[];
  /** Those who have been paired. */
  met: Set<string>;
}

/**
 * Applies to a transaction that some of its sessions meet others again. Whether there is a block between two is found out by the commit.
 * @param blocks those that a commit has found.
 */
export function meetAgainIn(
  transaction: Transaction,
  around: Surroundings,
  blocks: Blocks,
): Meeting {
  const unread: string[] = [];
  const met = new Set<string>();
  for (const draft of transaction.mayMeet) {
    for (const past of awaitedRooms(draft.value, around.now)) {
      if (!transaction.has(past.partnerId)) unread.push(past.partnerId);
      const other = transaction.get(past.partnerId);
      if (!other) continue;
      const persons = [personOf(draft.value), personOf(other.value)] as const;
      if (blocks.has(blockBetween(...persons))) continue;
      const change = meetAgain(draft.value, other.value, past, around);
      if (!change) continue;
      transaction.apply(change);
      transaction.unblocked.push(...persons);
      met.add(draft.value.id).add(other.value.id);
      break;
    }
  }
  return { unread, met };
}
