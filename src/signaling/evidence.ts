/**
 * Notes and evidence of reports, in memory only, from the moment in which they arrive until the report has been told: bounded in number,
 * bytes and time. Past a bound the oldest are dropped.
 */
import type { CheckedEvidence } from "../domain/lifecycle.ts";
import type { System } from "../system.ts";

export interface HeldEvidence {
  note?: string;
  evidence?: CheckedEvidence;
}

export interface EvidenceStore {
  /** Whether anybody is told what it holds. */
  readonly isWanted: boolean;
  /** Holds what belongs to a case, unless there is something already. Returns whether it does. */
  hold(caseId: string, held: HeldEvidence): boolean;
  get(caseId: string): HeldEvidence | undefined;
  release(caseId: string): void;
}

export interface EvidenceStoreOptions {
  isWanted: boolean;
  /** 0: nothing is held. */
  bytesMax: number;
  schedule: System["schedule"];
  /** What was dropped before it was told. */
  onDropped: (because: "full" | "late") => void;
}

const countMax = 1000;
/** Longer than any hook or webhook is waited for (milliseconds). */
const lifeMs = 15 * 60_000;

interface Entry {
  held: HeldEvidence;
  bytes: number;
  cancel: () => void;
}

export function createEvidenceStore(options: EvidenceStoreOptions): EvidenceStore {
  const { isWanted, bytesMax, schedule, onDropped } = options;
  /** By case, the oldest first. */
  const entries = new Map<string, Entry>();
  let bytes = 0;

  function release(caseId: string): boolean {
    const entry = entries.get(caseId);
    if (!entry) return false;
    entry.cancel();
    entries.delete(caseId);
    bytes -= entry.bytes;
    return true;
  }

  return {
    isWanted,
    hold(caseId, held) {
      if (!isWanted || entries.has(caseId)) return false;
      const size = sizeOf(held);
      if (size > bytesMax) {
        onDropped("full");
        return true;
      }
      for (const oldest of entries.keys()) {
        if (entries.size < countMax && bytes + size <= bytesMax) break;
        release(oldest);
        onDropped("full");
      }
      const cancel = schedule(lifeMs, () => {
        if (release(caseId)) onDropped("late");
      });
      entries.set(caseId, { held, bytes: size, cancel });
      bytes += size;
      return true;
    },
    get: (caseId) => entries.get(caseId)?.held,
    release,
  };
}

/** About how much memory it takes. */
const sizeOf = (held: HeldEvidence): number => JSON.stringify(held).length + 200;
