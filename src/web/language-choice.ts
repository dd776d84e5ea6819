/** The language that the page is shown in: chosen in the settings and remembered, else that of the browser. */
import type { Elements } from "./elements.ts";
import { english, languageNames, loadLanguage, pickTag, type Language } from "./language.ts";
import { recall, remember } from "./storage.ts";

export interface LanguageChoice {
  readonly current: Language;
  /** Calls `listener` after every change. What depends on a state is to be shown again. */
  subscribe(listener: () => void): void;
}

/** Which part of an element a string belongs in, by the attribute with the string's key. */
const targets: Readonly<Record<string, (element: HTMLElement, text: string) => void>> = {
  "data-text": (element, text) => void (element.textContent = text),
  "data-label": (element, text) => void (element.ariaLabel = text),
  "data-hint": (element, text) => void (element.title = text),
  "data-placeholder": (element, text) => element.setAttribute("placeholder", text),
};

/** Resolves once the page is in the visitor's language, or in English if that can't be loaded. */
export async function createLanguageChoice({
  languageChoice,
}: Pick<Elements, "languageChoice">): Promise<LanguageChoice> {
  const listeners = new Set<() => void>();
  let current = english(navigator.languages);
  let wanted = pickTag(recall("language"), navigator.languages);

  async function use(): Promise<void> {
    const tag = wanted;
    const loaded = await loadLanguage(tag, navigator.languages).catch(() => current);
    // Another one was chosen meanwhile.
    if (tag !== wanted) return;
    current = loaded;
    showTexts(current);
    languageChoice.value = current.tag;
    for (const listener of listeners) listener();
  }

  languageChoice.replaceChildren(
    ...Object.entries(languageNames).map(([tag, name]) => {
      const option = document.createElement("option");
      option.value = tag;
      option.lang = tag;
      option.textContent = name;
      return option;
    }),
  );
  languageChoice.addEventListener("change", () => {
    wanted = pickTag(languageChoice.value, []);
    remember("language", wanted);
    void use();
  });
  await use();
  return {
    get current() {
      return current;
    },
    subscribe: (listener) => void listeners.add(listener),
  };
}

/** Fills every element that names its string in an attribute, and declares the language of the page. */
function showTexts({ tag, strings }: Language): void {
  document.documentElement.lang = tag;
  // Each of the languages is written from left to right.
  document.documentElement.dir = "ltr";
  for (const [attribute, show] of Object.entries(targets))
    for (const element of document.querySelectorAll<HTMLElement>(`[${attribute}]`))
      show(element, stringAt(strings, element.getAttribute(attribute) ?? ""));
}

/** @param key such as `controls.start`. */
function stringAt(strings: object, key: string): string {
  const found = key
    .split(".")
    .reduce<unknown>(
      (part, name) => (part as Record<string, unknown> | undefined)?.[name],
      strings,
    );
  if (typeof found !== "string") throw new Error(`there is no string ${key}`);
  return found;
}
