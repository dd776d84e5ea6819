/** Facts and wants in words: their names come from the operator. */
import type { Facts, FactValue } from "../protocol.ts";
import { fill, formatNumber, type Language } from "./language.ts";

/** The name of a dimension, value or lobby, which the operator has chosen. */
export function nameWords(name: string): string {
  const [first = "", ...rest] = name;
  return first.toUpperCase() + rest.join("");
}

/** What is known of the partner, a text for each dimension. */
export function partnerFactsWords(facts: Facts, language: Language): string[] {
  return Object.entries(facts).map(([name, fact]) =>
    fill(language.strings.facts.fact, { name: nameWords(name), value: factWords(fact, language) }),
  );
}

function factWords(fact: FactValue, language: Language): string {
  const { itIs, itIsNot } = language.strings.facts;
  if (typeof fact === "boolean") return fact ? itIs : itIsNot;
  // Such as a year, which has no separators.
  if (typeof fact === "number") return formatNumber(language, fact, { useGrouping: false });
  return [fact].flat().map(nameWords).join(", ");
}

/** The chat log's line at the beginning of a conversation with somebody of whom something is known. */
export function aboutStrangerWords(facts: Facts, language: Language): string {
  const known = partnerFactsWords(facts, language).join("; ");
  return fill(language.strings.facts.about, { facts: known });
}
