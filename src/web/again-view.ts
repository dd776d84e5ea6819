/** The button to meet the last stranger again, on the cover. */
import type { PeerStreamState } from "../client/state.ts";
import type { Outcome } from "../client/types.ts";
import type { Elements } from "./elements.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { offeredAgain } from "./words.ts";

export interface AgainView {
  /** Shows or hides the button. Call it on every change of the state. */
  show(state: PeerStreamState): void;
}

/** @param ask asks the server. @param say tells the user what became of it. */
export function createAgainView(
  { again, next, start }: Elements,
  language: LanguageChoice,
  { ask, say }: { ask: () => Promise<Outcome>; say: (text: string) => void },
): AgainView {
  let timer: ReturnType<typeof setTimeout> | undefined;
  again.addEventListener("click", async () => {
    const outcome = await ask();
    const { chat } = language.current.strings;
    say(outcome.ok && outcome.accepted ? chat.askedAgain : chat.tooLateAgain);
  });

  function hide(): void {
    // The focus moves to a control that is still there.
    if (document.activeElement === again) (start.hidden ? next : start).focus();
    again.hidden = true;
  }

  return {
    show(state) {
      clearTimeout(timer);
      const remainingMs = (offeredAgain(state)?.until ?? 0) - Date.now();
      if (remainingMs <= 0) return hide();
      again.hidden = false;
      timer = setTimeout(hide, remainingMs);
    },
  };
}
