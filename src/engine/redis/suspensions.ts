/** Reports and suspensions on all nodes, and what a suspension does to the sessions that it applies to. */
import type {
  ModerationLimits,
  Report,
  Subject,
  Suspension,
  Verdict,
} from "../../domain/moderation.ts";
import { isRejection, reject, type Rejection } from "../../domain/rejection.ts";
import { partyOf, type Session } from "../../domain/session.ts";
import * as transitions from "../../domain/transitions.ts";
import type { Reported } from "../engine.ts";
import { RedisUnavailable } from "./client.ts";
import type { Inboxes } from "./inbox.ts";
import { ModerationLog, type Entry } from "./moderation-log.ts";
import type { Node } from "./node.ts";
import type { Transactor } from "./transactor.ts";

export interface SuspensionsParts {
  node: Node;
  transactor: Transactor;
  inboxes: Inboxes;
  limits: ModerationLimits;
  /** Runs a task whose result nothing waits for. */
  inBackground: (what: string, task: () => Promise<unknown>) => void;
  /** Tickets that should look for a partner, because another node has suspended their partner. */
  onNewlyWaiting: (sessionIds: readonly string[]) => void;
}

export class Suspensions {
  readonly #parts: SuspensionsParts;
  readonly #log: ModerationLog;

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

  /** Reads what other nodes have appended. Rejects while Redis is unavailable. */
  sync(): Promise<void> {
    return this.#log.sync();
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
    const { inboxes, transactor } = this.#parts;
    const newlyWaiting: string[] = [];
    for (const { subject } of suspended) {
      const isNamed = where === "all nodes" || inboxes.has(subject.id);
      const named = isNamed ? [subject.id] : [];
      for (const id of subject.kind === "address" ? inboxes.at(subject.id) : named) {
        const evicted = await transactor.transact({ ids: [id] }, (transaction) => {
          const draft = transaction.get(id);
          if (!draft) return { newlyWaiting: [] };
          const around = transactor.surroundings();
          const partner = transaction.partnerOf(draft);
          return transaction.apply(transitions.evict(draft.value, partner, around));
        });
        if (!isRejection(evicted)) newlyWaiting.push(...evicted.newlyWaiting);
      }
    }
    return newlyWaiting;
  }
}
