/** The options that only code can give: which there are, and what is wrong with one. */
import { lifecycleTypes } from "../domain/lifecycle.ts";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import type { IceProvider } from "../ice.ts";
import type { Policy } from "../domain/matchmaker.ts";
import type { ReportNotice } from "../signaling/reports.ts";
import type { AdmitHook } from "../rpc/admit.ts";
import type { LaneHook } from "../rpc/lane.ts";
import type { IsOperator } from "../rpc/operator-hook.ts";
import type { LifecycleHooks } from "../observe/lifecycle-hooks.ts";
import type { Authenticate } from "../rpc/identity.ts";
import { messageFallbacks, type MessageFallback, type MessageHook } from "../rpc/message-review.ts";
import type { Log } from "../observe/log.ts";

/** What only code can give. */
export interface Hooks<Declared extends FactsDeclaration = FactsDeclaration> {
  /**
   * What may be known of peers, in up to eight dimensions by name: see `FactDimension`. It types `facts` and `wants` of `join`. Default: none,
   * which costs nothing.
   */
  facts?: Declared | undefined;
  /** Who each peer is: see `Authenticate`. Default: all are anonymous. */
  authenticate?: Authenticate | undefined;
  /**
   * Gives ICE servers with TURN credentials: see `IceProvider`; `cloudflareTurn` and `twilioTurn` make one. Default: they are made by
   * `turnSecret`, if there is one.
   */
  ice?: IceProvider | undefined;
  /** Asked before each join: see `AdmitHook`. Default: everybody may. */
  admit?: AdmitHook<Declared> | undefined;
  /** Asked for a peer's lane before each join, if there are lanes: see `LaneHook`. Default: lanes are decided by conduct. */
  lane?: LaneHook | undefined;
  /**
   * Sees each text that goes through the server before it is delivered, and may change or drop it: see `MessageHook`. Default: all are
   * delivered, which costs nothing.
   */
  message?: MessageHook | undefined;
  /** What becomes of a text when `message` throws, takes longer than 300 ms or answers nonsense. Default: "drop". */
  messageFallback?: MessageFallback | undefined;
  /**
   * Called with what happens to peers and rooms, each event at least once over all processes together: an id tells repeated ones. Nobody waits for
   * them; a room's events come in their order. Default: none, which costs nothing.
   */
  on?: LifecycleHooks | undefined;
  /** Who may use `/admin`, by cookies of your own: see `IsOperator`. Default: whoever bears `adminToken`. */
  isOperator?: IsOperator | undefined;
  /** How partners are chosen. Default: the fair policy. */
  policy?: Policy | undefined;
  /** Where log lines go. Default: standard output. */
  log?: Log | undefined;
  /** Called with each reporter's first report of a room. What it throws is logged, and changes nothing. */
  onReport?: ((report: ReportNotice) => void) | undefined;
}

export const hookNames: ReadonlySet<string> = new Set<keyof Hooks>([
  "facts",
  "authenticate",
  "ice",
  "admit",
  "lane",
  "message",
  "messageFallback",
  "isOperator",
  "on",
  "policy",
  "log",
  "onReport",
]);

export function hookProblems(name: string, value: unknown): string[] {
  // Checked by itself.
  if (name === "facts") return [];
  if (name === "on") return lifecycleProblems(value);
  if (name === "messageFallback")
    return messageFallbacks.some((one) => one === value)
      ? []
      : [`messageFallback: must be one of ${messageFallbacks.join(", ")}`];
  const isFit = name === "log" ? typeof value === "object" : typeof value === "function";
  return isFit ? [] : [`${name}: must be ${name === "log" ? "an object" : "a function"}`];
}

function lifecycleProblems(on: unknown): string[] {
  if (typeof on !== "object" || on === null) return ["on: must be an object of functions"];
  return Object.entries(on).flatMap(([type, hook]) => {
    if (!lifecycleTypes.some((one) => one === type))
      return [`on.${type}: is no event; there are ${lifecycleTypes.join(", ")}`];
    return hook === undefined || typeof hook === "function"
      ? []
      : [`on.${type}: must be a function`];
  });
}
