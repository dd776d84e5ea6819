/** What a peer has to do before it may join, put together from the operator's settings. */
import type { Marks } from "../engine/marks.ts";
import type { Rules } from "../protocol.ts";
import { AddressActivity } from "../rpc/address-activity.ts";
import { JoinGate } from "../rpc/join-gate.ts";
import { createProofOfWork } from "../rpc/proof-of-work.ts";
import type { ChallengeConfig } from "../safety-config.ts";
import type { ReportNotice } from "../signaling/reports.ts";
import type { System } from "../system.ts";

export interface GateParts {
  system: Pick<System, "now" | "elapsed">;
  /** The first signs challenges, all verify them. */
  sessionSecrets: readonly string[];
  marks: Marks;
  challenge?: ChallengeConfig | undefined;
  rules?: Rules | undefined;
  onReport?: ((report: ReportNotice) => void) | undefined;
}

export interface Gate {
  /** Absent: nothing has to be done. */
  gate: JoinGate | undefined;
  /** The same as was given, after which challenges may know more. */
  onReport: (report: ReportNotice) => void;
}

export function createGate(parts: GateParts): Gate {
  const { challenge, rules, system, marks, onReport = () => {} } = parts;
  const { sessionSecrets: secrets } = parts;
  const { now, elapsed } = system;
  if (!challenge || challenge.mode === "off")
    return { gate: rules?.required ? new JoinGate({ rules }) : undefined, onReport };
  const { difficulty, passMs, mode } = challenge;
  const activity = mode === "adaptive" ? new AddressActivity(elapsed) : undefined;
  const proof = createProofOfWork({ secrets, difficulty, now });
  return {
    gate: new JoinGate({ rules, work: { proof, passMs, activity, marks, now, elapsed } }),
    onReport(report: ReportNotice) {
      const { addressHash } = report.reported;
      if (report.counted && addressHash !== undefined) activity?.reported(addressHash);
      onReport(report);
    },
  };
}
