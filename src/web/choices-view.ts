/** The part of the settings that the operator decides on: a lobby, facts of one's own, and wants of a partner. */
import type { FactValue } from "../protocol.ts";
import type { FactsDeclaration, Site } from "../protocol/declaration.ts";
import { restoreChoices, storedForm, wishesOf, type Choices, type Want } from "./choices.ts";
import { createFactField, createWantField, option, type Field } from "./dimension-fields.ts";
import type { Elements } from "./elements.ts";
import { nameWords } from "./facts-words.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { recall, remember } from "./storage.ts";
import type { Strings } from "./strings/en.ts";

/** How long Start waits for the server to say what is declared (milliseconds). Then the client tells what is wrong with the server. */
const SITE_MS_MAX = 10_000;

export interface ChoicesView {
  /** The lobby that the user has chosen, if any. */
  readonly lobby: string | undefined;
  /** The dimensions of which only certain strangers are wanted. */
  readonly insisted: readonly string[];
  /** What to send with `join`. */
  readonly wishes: ReturnType<typeof wishesOf>;
  /** Resolves once it is known what is declared, or the server has failed to say so. */
  known(): Promise<void>;
}

/**
 * Fills the settings dialog by what is declared, now and whenever it is opened.
 * @param request asks the server what is declared. @param changed called when the dialog was closed with other choices than before, and when
 * something that was chosen is declared no longer.
 */
export function createChoicesView(
  elements: Elements,
  language: LanguageChoice,
  { request, changed }: { request: () => Promise<Site>; changed: () => void },
): ChoicesView {
  const { settings, settingsOpen, lobbyChoice } = elements;
  let site: Site | undefined;
  let choices = restoreChoices(recall("choices"), undefined);
  let fields: SiteFields = { facts: {}, wants: {} };
  let loading: Promise<void> | undefined;

  function load(): Promise<void> {
    loading ??= ask().finally(() => (loading = undefined));
    return loading;
  }

  async function ask(): Promise<void> {
    try {
      const declared = await request();
      // Fields that are in use are replaced only by others.
      if (JSON.stringify(declared) === JSON.stringify(site)) return;
      site = declared;
      use(restoreChoices(storedForm(choices), site));
      show();
    } catch {
      // Asked again by the next Start, and when the settings are opened.
    }
  }

  function show(): void {
    if (site)
      fields = showFields(elements, { site, choices, words: language.current.strings.facts });
  }

  /** Returns whether these are other choices than before. */
  function use(next: Choices): boolean {
    const isSame = storedForm(next) === storedForm(choices);
    choices = next;
    if (!isSame) changed();
    return !isSame;
  }

  settingsOpen.addEventListener("click", () => void load());
  /** Takes over what is in the fields, and shows them again: only what is valid. */
  function take(): void {
    if (!site) return;
    const lobby = site.lobbies.slice(1).find((name) => name === lobbyChoice.value);
    const chosen = {
      lobby,
      facts: readAll(fields.facts, choices.facts),
      wants: readAll(fields.wants, choices.wants),
    };
    if (use(chosen)) remember("choices", storedForm(chosen));
    show();
  }

  settings.addEventListener("close", take);
  language.subscribe(take);

  void load();
  return {
    get lobby() {
      return choices.lobby;
    },
    get insisted() {
      return Object.keys(choices.wants).filter((name) => choices.wants[name]?.hard);
    },
    get wishes() {
      return wishesOf(choices);
    },
    async known() {
      if (!site)
        await Promise.race([load(), new Promise((resolve) => setTimeout(resolve, SITE_MS_MAX))]);
    },
  };
}

type Fields<T> = Readonly<Record<string, Field<T>>>;

interface SiteFields {
  readonly facts: Fields<FactValue>;
  readonly wants: Fields<Want>;
}

/** Replaces the fields of the dialog by those for what is declared. */
function showFields(
  elements: Elements,
  { site, choices, words }: { site: Site; choices: Choices; words: Strings["facts"] },
): SiteFields {
  const { lobbies, facts: declared } = site;
  const { lobbyField, lobbyChoice } = elements;
  lobbyField.hidden = lobbies.length < 2;
  lobbyChoice.replaceChildren(...lobbies.map((name) => option(name, nameWords(name))));
  lobbyChoice.value = choices.lobby ?? lobbies[0] ?? "";
  const { factsSection, factsFields, wantsSection, wantsNote, wantsFields } = elements;
  const facts = createFactFields(declared, choices, words);
  factsFields.replaceChildren(...Object.values(facts).map(({ element }) => element));
  factsSection.hidden = factsFields.childElementCount === 0;
  const wants = createWantFields(declared, choices, words);
  wantsFields.replaceChildren(...Object.values(wants).map(({ element }) => element));
  wantsSection.hidden = wantsFields.childElementCount === 0;
  const mayInsist = Object.values(declared).some(({ hard }) => hard !== false);
  wantsNote.textContent = mayInsist ? words.mayInsist : words.givesWay;
  return { facts, wants };
}

function createFactFields(
  declared: FactsDeclaration,
  { facts }: Choices,
  words: Strings["facts"],
): Fields<FactValue> {
  const fields = Object.entries(declared).flatMap(([name, dimension], index) => {
    if (dimension.by === "claims") return [];
    const parts = { id: `fact-${index}`, name, chosen: facts[name] };
    return [[name, createFactField(dimension, parts, words)] as const];
  });
  return Object.fromEntries(fields);
}

function createWantFields(
  declared: FactsDeclaration,
  { wants }: Choices,
  words: Strings["facts"],
): Fields<Want> {
  const fields = Object.entries(declared).map(([name, dimension], index) => {
    const parts = { id: `want-${index}`, name, chosen: wants[name] };
    return [name, createWantField(dimension, parts, words)] as const;
  });
  return Object.fromEntries(fields);
}

/** What is in the fields. One that is closed with something invalid in it keeps what it had. */
function readAll<T>(fields: Fields<T>, before: Readonly<Record<string, T>>): Record<string, T> {
  const values = Object.entries(fields).flatMap(([name, { element, read }]) => {
    const value = element.querySelector(":invalid") ? before[name] : read();
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(values);
}
