/** Reports and suspensions on all nodes, and what a suspension does to the sessions that it applies to. */
import type { Decision, LifecycleType } from "../../domain/lifecycle.ts";
import { warningOf, type DecisionsRequest, type ExportedDecision } from "../../domain/decisions.ts";
import type {
  Grounds,
  ModerationLimits,
  Report,
  Subject,
  Suspension,
  Verdict,
} from "../../domain/moderation.ts";
import type { Rejection } from "../../domain/rejection.ts";
import { partyOf, type Session, type WarningEvent } from "../../domain/session.ts";
import type { CaseAnswer } from "../../protocol.ts";
import type { System } from "../../system.ts";
import type { Decided, Reported } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import { lifecycleMax } from "./constants.ts";
import { DecisionStream } from "./decision-stream.ts";
import { ModerationLog } from "./moderation-log.ts";
import type { Node } from "./node.ts";
import { scripts } from "./scripts.ts";

/** A node that is alive tells within this what its own entries have led to (milliseconds). */
const ownersMs = 5000;
const givenUpMs = 60_000;

export interface SuspensionsParts {
  /** This process, on the Redis that has the log. */
  node: Node;
  limits: ModerationLimits;
  /** See `EngineOptions`. */
  decisionsKeepMs: number | undefined;
  /** Lifecycle events that are told. */
  lifecycle: readonly LifecycleType[] | undefined;
  clock: Pick<System, "elapsed">;
  /** Lifecycle events were appended. */
  onLifecycle: () => void;
  /** Takes a session out of lobby and room, wherever it is. Returns whose tickets entered the lobby because of it. */
  evict: (sessionId: string) => Promise<string[]>;
  /** Tells a session a warning, wherever it is: now, or when it comes back. */
  warn: (sessionId: string, warning: WarningEvent) => Promise<unknown>;
  /** The sessions with streams on this node to which a suspension of the subject applies. */
  connected: (subject: Subject) => readonly string[];
  /** Runs a task whose result nothing waits for. */
  inBackground: (what: string, task: () => Promise<unknown>) => void;
  /** Tickets that should look for a partner, because another node has suspended their partner. */
  onNewlyWaiting: (sessionIds: readonly string[]) => void;
}

export class Suspensions {
  readonly #parts: SuspensionsParts;
  readonly #log: ModerationLog;
  readonly #decisions: DecisionStream;
  /** Since when entries of the log are known to be untold, by the monotonic clock. */
  #untold = new Map<string, number>();
  #isKnown = false;

  constructor(parts: SuspensionsParts) {
    const { node, limits, inBackground, onNewlyWaiting, onLifecycle, lifecycle = [] } = parts;
    this.#parts = parts;
    this.#decisions = new DecisionStream(node, parts.decisionsKeepMs ?? 0);
    this.#log = new ModerationLog({
      limits,
      lifecycle,
      append: (json, max) =>
        node.run(scripts.appendDecision, { json, max, tells: lifecycle.length > 0 ? "1" : "0" }),
      tell: async (entry, events) => {
        const texts = events.map((event) => JSON.stringify(event));
        await node.run(scripts.tellVerdict, { entry, max: lifecycleMax }, texts);
        if (texts.length > 0) onLifecycle();
      },
      keys: node.keys,
      nodeId: node.id,
      decisions: this.#decisions,
      now: () => node.now(),
      command: (...args) => node.command(...args),
      notifyNodes: () => node.publish(node.keys.allNodes(), { type: "moderation" }),
      onVerdict: (verdict) => {
        if (!node.available) return;
        inBackground("a suspension", async () =>
          onNewlyWaiting(await this.#evict(verdict, "here")),
        );
      },
    });
  }

  /** Whether all that other nodes have appended was read at least once. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Reads what other nodes have appended. Rejects while Redis is unavailable. */
  async sync(): Promise<void> {
    await this.#log.sync();
    this.#isKnown = true;
  }

  /** `suspended` for a session that must stay out. */
  of(session: Session): Rejection | undefined {
    return this.#log.refusalOf(partyOf(session), this.#parts.node.now());
  }

  list(): Suspension[] {
    return this.#log.list(this.#parts.node.now());
  }

  /**
   * @param isHeld whether this process has a note or evidence.
   * @throws {RedisUnavailable}
   */
  async report(report: Report, isHeld = false): Promise<Reported> {
    const { node } = this.#parts;
    const heldBy = isHeld ? node.id : undefined;
    const verdict = await this.#append({ kind: "report", at: node.now(), ...report, heldBy });
    const warning = warningOf(verdict);
    if (warning) await this.#warn(report, warning);
    const newlyWaiting = await this.#evict(verdict, "all nodes");
    return { ...verdict, reported: report.reported, newlyWaiting };
  }

  /** Of an account a session that is connected here, if any is. */
  async #warn({ reported: { sessionId, account } }: Report, warning: WarningEvent): Promise<void> {
    const { connected, warn } = this.#parts;
    const sessions = account === undefined ? [] : connected({ kind: "account", id: account });
    await warn(sessions.includes(sessionId) ? sessionId : (sessions[0] ?? sessionId), warning);
  }

  /** @param until epoch milliseconds. @throws {RedisUnavailable} */
  async suspend(
    subject: Subject,
    until: number,
    grounds?: Grounds,
  ): Promise<Pick<Reported, "newlyWaiting" | "decided">> {
    const at = this.#parts.node.now();
    const verdict = await this.#append({ kind: "suspend", at, ...grounds, subject, until });
    return { decided: verdict.decided, newlyWaiting: await this.#evict(verdict, "all nodes") };
  }

  /** `false` if there was no such suspension. @throws {RedisUnavailable} */
  async lift(subject: Subject, grounds?: Grounds): Promise<boolean> {
    const at = this.#parts.node.now();
    return (await this.#append({ kind: "lift", at, ...grounds, subject })).counted;
  }

  /** @throws {RedisUnavailable} */
  async dismiss(caseId: string, grounds?: Grounds): Promise<Decided> {
    return this.#append({ kind: "dismiss", at: this.#parts.node.now(), ...grounds, caseId });
  }

  /** Rejects while Redis is unavailable. */
  decisions(request: DecisionsRequest): Promise<ExportedDecision[]> {
    return this.#decisions.list(request);
  }

  /** Rejects while Redis is unavailable. */
  ofCase(caseId: string): Promise<CaseAnswer> {
    return this.#decisions.ofCase(caseId);
  }

  /**
   * Tells what entries of the log have led to which are untold, if the nodes that appended them do not. Rejects while Redis is
   * unavailable.
   */
  async tell(entryIds: readonly string[]): Promise<void> {
    const { clock, node } = this.#parts;
    const now = clock.elapsed();
    this.#untold = new Map(entryIds.map((id) => [id, this.#untold.get(id) ?? now]));
    const overdue = [...this.#untold].filter(([, since]) => now - since >= ownersMs);
    // The node that appended them may have died before it announced them.
    if (overdue.length > 0) await this.sync();
    for (const [id, since] of overdue) {
      if (await this.#log.tell(id)) continue;
      // So many others have come since that nobody knows its effect any more.
      if (now - since > givenUpMs)
        await node.run(scripts.tellVerdict, { entry: id, max: lifecycleMax });
    }
  }

  async #append(entry: Decision): Promise<Verdict & Decided> {
    if (!this.#parts.node.available) throw new RedisUnavailable("Redis is unavailable");
    return this.#log.append(entry);
  }

  /**
   * Takes sessions out of lobby and room to which a suspension applies: those that are connected here, and for `all nodes`
   * also one that is named by its id, wherever it is. Returns whose tickets entered the lobby.
   */
  async #evict({ suspended }: Verdict, where: "here" | "all nodes"): Promise<string[]> {
    const { evict, connected } = this.#parts;
    const newlyWaiting: string[] = [];
    for (const { subject } of suspended) {
      const isNamed = where === "all nodes" && subject.kind === "session";
      for (const id of isNamed ? [subject.id] : connected(subject))
        newlyWaiting.push(...(await evict(id)));
    }
    return newlyWaiting;
  }
}
