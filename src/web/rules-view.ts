/** The dialog with the operator's rules, which is shown once for each version of them. */
import type { Rules } from "../protocol.ts";
import type { Site } from "../protocol/declaration.ts";
import type { Elements } from "./elements.ts";
import { fill } from "./language.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { recall, remember } from "./storage.ts";

export interface RulesView {
  /**
   * Shows the rules unless the user has agreed to this version before. Resolves to the version, to "" where there are none, or to
   * undefined if the user declines.
   */
  agree(): Promise<string | undefined>;
  /** The server has refused what the user agreed to: these are shown next, in any case. */
  changed(rules: Omit<Rules, "required">): void;
}

/** Without an answer by then the search begins: the server refuses it if there are rules that have to be agreed to. */
const SITE_MS_MAX = 2000;

/** @param site - what the operator has declared; rejects while the server cannot be reached. */
export function createRulesView(
  elements: Elements,
  language: LanguageChoice,
  site: () => Promise<Site>,
): RulesView {
  const { rules: dialog, rulesText, rulesLink, rulesAge, rulesAgeLabel, rulesAgeCheck } = elements;
  let known: Promise<Omit<Rules, "required"> | undefined> = fetchRules();

  function fetchRules() {
    return site().then(
      ({ rules }) => rules,
      () => undefined,
    );
  }

  function show({ text = "", url, age }: Omit<Rules, "required">): Promise<boolean> {
    rulesText.textContent = text;
    rulesText.hidden = text === "";
    rulesLink.hidden = url === undefined;
    if (url !== undefined) rulesLink.href = url;
    rulesAge.hidden = age === undefined;
    rulesAgeCheck.required = age !== undefined;
    rulesAgeCheck.checked = false;
    const years = age === undefined ? "" : String(age);
    rulesAgeLabel.textContent = fill(language.current.strings.rules.age, { years });
    dialog.returnValue = "";
    if (!dialog.open) dialog.showModal();
    return new Promise((resolve) => {
      const onClose = () => resolve(dialog.returnValue === "agreed");
      dialog.addEventListener("close", onClose, { once: true });
    });
  }

  return {
    async agree() {
      const timeout = new Promise<undefined>((resolve) =>
        setTimeout(() => resolve(undefined), SITE_MS_MAX),
      );
      const rules = await Promise.race([known, timeout]);
      if (!rules) return "";
      const { version } = rules;
      if (recall("agreed") === version) return version;
      if (!(await show(rules))) return undefined;
      remember("agreed", version);
      return version;
    },
    changed(rules) {
      known = Promise.resolve(rules);
      remember("agreed", "");
    },
  };
}
