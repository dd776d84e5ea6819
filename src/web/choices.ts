/** What a user has chosen of what the operator declares, as the page remembers it and as `join` takes it. */
import type { Wishes } from "../client/types.ts";
import type { FactValue } from "../protocol.ts";
import {
  factLimits,
  type FactDimension,
  type FactsDeclaration,
  type Site,
  type WantOf,
} from "../protocol/declaration.ts";

export type Want = WantOf<FactDimension>;

export interface Choices {
  /** Undefined: the one that the server chooses. */
  readonly lobby?: string | undefined;
  readonly facts: Readonly<Record<string, FactValue>>;
  readonly wants: Readonly<Record<string, Want>>;
}

/** What is to be remembered. */
export function storedForm({ lobby, facts, wants }: Choices): string {
  return JSON.stringify({ lobby, facts, wants });
}

/**
 * The choices that were remembered. What is declared no longer is left out, and so is what can't be read.
 * @param site undefined while the server has not said what is declared: then it is for the server to check them.
 */
export function restoreChoices(stored: string, site: Site | undefined): Choices {
  const { lobby, facts, wants } = parse(stored);
  if (!site) return { lobby, facts, wants } as Choices;
  return {
    lobby: site.lobbies.slice(1).find((name) => name === lobby),
    facts: readEach(site.facts, facts, readFact),
    wants: readEach(site.facts, wants, readWant),
  };
}

/** The fields of `join`. Those without a content are absent: what the server does not declare is not sent either. */
export function wishesOf({
  lobby,
  facts,
  wants,
}: Choices): Pick<Wishes, "lobby" | "facts" | "wants"> {
  return {
    ...(lobby !== undefined && { lobby }),
    ...(Object.keys(facts).length > 0 && { facts }),
    ...(Object.keys(wants).length > 0 && { wants }),
  };
}

/** A fact of a dimension that peers state; undefined if `given` is none. */
export function readFact(dimension: FactDimension, given: unknown): FactValue | undefined {
  if (dimension.by === "claims") return undefined;
  switch (dimension.kind) {
    case "one":
      return dimension.of.find((value) => value === given);
    case "set":
      return readValues(dimension, given);
    case "range":
      return readNumber(dimension, given);
    case "flag":
      return typeof given === "boolean" ? given : undefined;
  }
}

/** A want of a dimension; undefined if `given` is none. Bounds that are no numbers of the dimension are left out. */
export function readWant(dimension: FactDimension, given: unknown): Want | undefined {
  if (!isRecord(given)) return undefined;
  const firmness =
    given["hard"] === true && dimension.hard !== false ? ({ hard: true } as const) : {};
  switch (dimension.kind) {
    case "one":
    case "set": {
      const values = readValues(dimension, given["in"]);
      return values && { in: values, ...firmness };
    }
    case "range": {
      const from = readNumber(dimension, given["from"]);
      const to = readNumber(dimension, given["to"]);
      if (from === undefined) return to === undefined ? undefined : { to, ...firmness };
      if (to === undefined) return { from, ...firmness };
      return from <= to ? { from, to, ...firmness } : undefined;
    }
    case "flag":
      return typeof given["is"] === "boolean" ? { is: given["is"], ...firmness } : undefined;
  }
}

/** How many values of a dimension may be chosen. */
export function valuesMax({ kind, of }: Valued): number {
  return kind === "set" ? factLimits.setValuesMax : of.length;
}

export type Kind<K extends FactDimension["kind"]> = Extract<FactDimension, { kind: K }>;
type Valued = Kind<"one" | "set">;

function readValues(dimension: Valued, given: unknown): string[] | undefined {
  if (!Array.isArray(given)) return undefined;
  const values = dimension.of.filter((value) => given.includes(value));
  return values.length > 0 ? values.slice(0, valuesMax(dimension)) : undefined;
}

function readNumber({ from, to }: Kind<"range">, given: unknown): number | undefined {
  if (typeof given !== "number" || !Number.isInteger(given)) return undefined;
  return given >= from && given <= to ? given : undefined;
}

function readEach<T>(
  declared: FactsDeclaration,
  given: Record<string, unknown>,
  read: (dimension: FactDimension, given: unknown) => T | undefined,
): Record<string, T> {
  const values = Object.entries(declared).flatMap(([name, dimension]) => {
    const value = read(dimension, given[name]);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(values);
}

function parse(stored: string): {
  lobby: unknown;
  facts: Record<string, unknown>;
  wants: Record<string, unknown>;
} {
  const choices = asRecord(parseJson(stored));
  const { lobby, facts, wants } = choices;
  return { lobby, facts: asRecord(facts), wants: asRecord(wants) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const asRecord = (value: unknown) => (isRecord(value) ? value : {});
