/** Facts and wants in words: their names come from the operator. */
import type { Facts, FactValue } from "../protocol.ts";

/** The name of a dimension, value or lobby, which the operator has chosen. */
export function nameWords(name: string): string {
  const [first = "", ...rest] = name;
  return first.toUpperCase() + rest.join("");
}

/** The settings for what the operator declares. */
export const dimensionWords = {
  unstated: "Not said",
  any: "Any",
  yes: "Yes",
  no: "No",
  from: "From",
  to: "To",
  reversed: "This is less than “From”.",
  shown: "Strangers see this.",
  only: "Only such strangers",
  mayInsist:
    "Such strangers first, others after a while. With “Only such strangers” you may wait long.",
  givesWay: "Such strangers first, others after a while.",
};

/** What is known of the partner, a text for each dimension. */
export function partnerFactsWords(facts: Facts): string[] {
  return Object.entries(facts).map(([name, fact]) => `${nameWords(name)}: ${factWords(fact)}`);
}

function factWords(fact: FactValue): string {
  if (typeof fact === "boolean") return fact ? "yes" : "no";
  if (typeof fact === "number") return String(fact);
  return [fact].flat().map(nameWords).join(", ");
}

/** The chat log's line at the beginning of a conversation with somebody of whom something is known. */
export function aboutStrangerWords(facts: Facts): string {
  return `About the stranger: ${partnerFactsWords(facts).join("; ")}.`;
}
