/** The line over the partner's picture: how long the call lasts, how good it is, and whether the partner can be heard. */
import type { PeerStreamState } from "../client/state.ts";
import type { Elements } from "./elements.ts";
import type { LanguageChoice } from "./language-choice.ts";

export interface CallLine {
  /** Call it on every change of the state. */
  show(state: PeerStreamState): void;
}

export function createCallLine(
  { callLine, timer, quality, partnerMuted }: Elements,
  language: LanguageChoice,
): CallLine {
  let roomId: string | undefined;
  let beganAt = 0;
  let ticking: ReturnType<typeof setInterval> | undefined;

  function tick(): void {
    timer.textContent = durationWords(performance.now() - beganAt);
  }

  return {
    show(state) {
      const room = "roomId" in state ? state.roomId : undefined;
      if (room === undefined) roomId = undefined;
      if (state.status === "connected" && room !== roomId) {
        roomId = room;
        beganAt = performance.now();
        clearInterval(ticking);
        ticking = setInterval(tick, 1000);
        tick();
      }
      if (roomId === undefined) clearInterval(ticking);
      callLine.hidden = roomId === undefined || room !== roomId;
      const line = "quality" in state ? state.quality : undefined;
      quality.hidden = line !== "fair" && line !== "poor";
      quality.dataset["quality"] = line ?? "";
      const { call } = language.current.strings;
      if (!quality.hidden) quality.textContent = line === "poor" ? call.poor : call.fair;
      const media = "partnerMedia" in state ? state.partnerMedia : undefined;
      partnerMuted.hidden = media?.audio !== false;
    },
  };
}

/** Minutes and seconds, and hours from the first one on: `1:05`, `1:00:00`. */
function durationWords(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  const [first, ...rest] = hours > 0 ? [hours, ...parts] : parts;
  return [first, ...rest.map((part) => String(part).padStart(2, "0"))].join(":");
}
