/** What a peer is told who was reported: the warning, and where to object to a suspension. */
import type { PeerStreamEvent, PeerStreamState } from "../client/state.ts";
import type { Elements } from "./elements.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { appealLink, warningWords } from "./moderation-words.ts";

/** Warnings and suspensions. */
export interface SanctionView {
  /** Shows the warning until the user closes it: it comes only once. */
  warn(warning: Extract<PeerStreamEvent, { type: "warning" }>): void;
  show(state: PeerStreamState): void;
}

/** Binds the warning dialog and the link on the cover. */
export function createSanctionView(
  { warning, warningText, appeal }: Elements,
  language: LanguageChoice,
): SanctionView {
  return {
    warn(event) {
      warningText.textContent = warningWords(event, language.current);
      if (!warning.open) warning.showModal();
    },
    show(state) {
      const error = state.status === "idle" ? state.error : undefined;
      const link = error?.kind === "rejected" ? appealLink(error.appeal) : undefined;
      appeal.hidden = link === undefined;
      if (link === undefined) appeal.removeAttribute("href");
      else appeal.href = link;
    },
  };
}
