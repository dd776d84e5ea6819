/** Lifecycle events on their way from the engine to the operator: to the hooks, and to a webhook. */
import {
  lifecycleTypes,
  type Held,
  type LifecycleEvent,
  type LifecycleType,
} from "../domain/lifecycle.ts";
import type { Engine } from "../engine/engine.ts";
import type { EventsConfig } from "../events-config.ts";
import { createLifecycleHooks, type LifecycleHooks } from "../observe/lifecycle-hooks.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { createWebhook, type Webhook } from "../observe/webhook.ts";
import type { EvidenceStore } from "../signaling/evidence.ts";
import type { System } from "../system.ts";
import { createWarnRarely } from "./capacity.ts";

/** As many as the engine tells at the same time: it keeps the order, and waits for each. */
const postedAtOnceMax = 100;

export interface LifecycleParts {
  engine: Pick<Engine, "onLifecycle">;
  system: System;
  log: Log;
  metrics: Pick<Metrics, "hookFailed" | "eventsLost" | "posted" | "postFailed" | "read">;
  on?: LifecycleHooks | undefined;
  webhook?: EventsConfig | undefined;
  /** What belongs to reports. Default: nothing. */
  evidence?: Pick<EvidenceStore, "get" | "release"> | undefined;
}

/** What the engine has to be made with. */
export function lifecycleTypesFor({
  on = {},
  webhook,
}: Pick<LifecycleParts, "on" | "webhook">): LifecycleType[] {
  return lifecycleTypes.filter((type) => on[type] !== undefined || webhook?.types.includes(type));
}

/** Returns the webhook, if there is one, to be flushed when the engine closes. */
export function tellLifecycle(parts: LifecycleParts): Webhook | undefined {
  const { engine, system, log, metrics, on = {}, webhook, evidence } = parts;
  const warnRarely = createWarnRarely(log, system);
  const lose = (because: "webhook" | "queue-full", count: number, why: string) => {
    metrics.eventsLost(because, count);
    warnRarely("lifecycle events were lost", { because, why });
  };
  const call = createLifecycleHooks({ on, log, metrics, system });
  const posts =
    webhook &&
    createWebhook({
      ...webhook,
      atOnceMax: postedAtOnceMax,
      schedule: system.schedule,
      metrics,
      onGivenUp: (why) => lose("webhook", 1, why),
    });
  if (lifecycleTypesFor(parts).length === 0) return undefined;
  const eventsWaiting = engine.onLifecycle(
    async (derived) => {
      const event = withEvidence(derived, evidence);
      const isPosted = posts && webhook.types.includes(event.type);
      await Promise.all([call(event), isPosted && posts.post(event)]);
      if (event.type === "reported" && event.caseId !== undefined) evidence?.release(event.caseId);
    },
    (count) => lose("queue-full", count, "hooks or webhooks are too slow"),
  );
  metrics.read({ eventsWaiting });
  return posts;
}

/** An event as it is told: a report with what this process holds of it. */
function withEvidence(
  derived: LifecycleEvent & Held,
  evidence: Pick<EvidenceStore, "get"> | undefined,
): LifecycleEvent {
  if (derived.type !== "reported") return derived;
  const { heldBy, ...event } = derived;
  if (heldBy === undefined) return event;
  const held = event.caseId === undefined ? undefined : evidence?.get(event.caseId);
  return held ? { ...event, ...held } : { ...event, evidenceLost: true };
}
