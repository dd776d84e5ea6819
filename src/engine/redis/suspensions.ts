/** Reports and suspensions on all nodes, and what a suspension does to the sessions that it applies to. */
import type {
  ModerationLimits,
  Report,
  Subject,
  Suspension,
  Verdict,
} from "../../domain/moderation.ts";
import { reject, type Rejection } from "../../domain/rejection.ts";
import { partyOf, type Session } from "../../domain/session.ts";
import type { Reported } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import { ModerationLog, type Entry } from "./moderation-log.ts";
import type { Node } from "./node.ts";

export interface SuspensionsParts {
  /** This process, on the Redis that has the log. */
  node: Node;
  limits: ModerationLimits;
  /** Takes a session out of lobby and room, wherever it is. Returns whose tickets entered the lobby because of it. */
  evict: (sessionId: string) => Promise<string[]>;
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
  #isKnown = false;

  constructor(parts: SuspensionsParts) {
    const { node, limits, inBackground, onNewlyWaiting } = parts;
    this.#parts = parts;
    this.#log = new ModerationLog({
      limits,
      keys: node.keys,
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
    const until = this.#log.suspendedUntil(partyOf(session), this.#parts.node.now());
    return until === undefined ? undefined : reject("suspended", { until });
  }

  list(): Suspension[] {
    return this.#log.list(this.#parts.node.now());
  }

  /** @throws {RedisUnavailable} */
  async report(report: Report): Promise<Reported> {
    const verdict = await this.#append({ kind: "report", at: this.#parts.node.now(), ...report });
    const newlyWaiting = await this.#evict(verdict, "all nodes");
    return { ...verdict, reported: report.reported, newlyWaiting };
  }

  /** @param until epoch milliseconds. @throws {RedisUnavailable} */
  async suspend(subject: Subject, until: number): Promise<Pick<Reported, "newlyWaiting">> {
    const at = this.#parts.node.now();
    const verdict = await this.#append({ kind: "suspend", at, subject, until });
    return { newlyWaiting: await this.#evict(verdict, "all nodes") };
  }

  /** `false` if there was no such suspension. @throws {RedisUnavailable} */
  async lift(subject: Subject): Promise<boolean> {
    const at = this.#parts.node.now();
    const { counted } = await this.#append({ kind: "lift", at, subject });
    return counted;
  }

  async #append(entry: Entry): Promise<Verdict> {
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
