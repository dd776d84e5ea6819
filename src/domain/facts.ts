/**
 * What peers state about themselves, in dimensions that the operator declares, and what they want of each other. The wants of both are
 * checked: two tickets fit if the facts of each meet all wants of the other that hold at the moment.
 *
 * For indexes that is also expressed by bits: each dimension but a set has a bit for each of its values, or for each group of them, and
 * one for "not stated". A ticket states one bit of each dimension, and refuses some; two don't fit if one states what the other refuses.
 */
import type { Facts, FactValue } from "../protocol.ts";
import { includes } from "./includes.ts";
import { factLimits, type FactDimension, type FactsDeclaration } from "../protocol/declaration.ts";

/** A want, with the name of the dimension that it is about. Exactly one of `in`, `is`, and `from` with `to`. */
export interface Want {
  readonly of: string;
  readonly in?: readonly string[];
  readonly is?: boolean;
  /** Both inclusive. */
  readonly from?: number;
  readonly to?: number;
  /** For how long the ticket accepts only those who meet it (milliseconds); absent: always, it is a hard want. */
  readonly softAfterMs?: number;
}

/** What a peer states and wants. */
export interface Stated {
  readonly facts?: Facts | undefined;
  readonly wants?: readonly Want[] | undefined;
}

/** What decides whom a ticket fits at the moment. */
export interface Fitting {
  readonly wishes: Stated;
  /** The wants that hold; absent: none. */
  readonly required: readonly Want[] | undefined;
}

export interface Dimensions {
  readonly declared: FactsDeclaration;
  /** Differs between declarations: bits of two are not to be compared. No blanks. */
  readonly layout: string;
  /** The names of those of kind `set`, about which bits tell nothing. */
  readonly sets: ReadonlySet<string>;
  /** Those, and those of kind `one` with more values than there are bits for. */
  readonly listed: ReadonlySet<string>;
  /** Words of 32 bits that all values take. */
  readonly words: number;
  /** Dimensions other than sets, as bits from `from` on, the first one for "not stated". */
  readonly coded: readonly Coded[];
  /** What is stated, in as many words as all values take, and then what is refused, in as many. */
  bitsOf(fitting: Fitting): number[];
  /** The names of those with wants that bits do not tell all about. */
  readonly compared: ReadonlySet<string>;
  /** Whether bits tell all about a want. */
  isTold(want: Want): boolean;
  /** The names of those that the partner is told, if there are any. */
  readonly shown: readonly string[] | undefined;
}

/** A dimension other than a set, and where its bits are. */
interface Coded {
  readonly name: string;
  readonly dimension: Exclude<FactDimension, { kind: "set" }>;
  /** The number of its first bit, which is for "not stated". All its bits are in one word. */
  readonly from: number;
  /** How many values, or groups of values, are told apart. */
  readonly groups: number;
  /** Of `one`: the number of each value. */
  readonly numbers: ReadonlyMap<string, number>;
  /** Of `range`: the lowest value of each band. */
  readonly bands: readonly number[];
}

/** Of 32 bits one is for a value that is not stated. */
const groupsMax = 31;

/** How many bands a range has whose operator names none. */
const defaultBands = 16;

/** Whether a want still excludes those who do not meet it. */
export function isRequired({ softAfterMs }: Want, waitedMs: number): boolean {
  return softAfterMs === undefined || waitedMs < softAfterMs;
}

/** The wants that hold after `waitedMs`; `undefined`: none. */
export function requiredWants({ wants }: Stated, waitedMs: number): readonly Want[] | undefined {
  if (wants === undefined) return undefined;
  const required = wants.filter((want) => isRequired(want, waitedMs));
  if (required.length === wants.length) return wants;
  return required.length > 0 ? required : undefined;
}

/** Whether facts meet a want. One that is not stated meets none, nor does one of another kind, as another node may have declared it. */
export function meets(facts: Facts | undefined, want: Want): boolean {
  const fact = facts?.[want.of];
  switch (typeof fact) {
    case "undefined":
      return false;
    case "string":
      return want.in !== undefined && includes(want.in, fact);
    case "boolean":
      return fact === want.is;
    case "number":
      return (
        (want.from !== undefined || want.to !== undefined) &&
        fact >= (want.from ?? fact) &&
        fact <= (want.to ?? fact)
      );
    default:
      for (const value of fact) if (want.in !== undefined && includes(want.in, value)) return true;
      return false;
  }
}

/** Whether two tickets fit. */
export function fit(one: Fitting, other: Fitting): boolean {
  return meetsAll(other.wishes.facts, one.required) && meetsAll(one.wishes.facts, other.required);
}

function meetsAll(facts: Facts | undefined, wants: readonly Want[] | undefined): boolean {
  if (wants !== undefined) for (const want of wants) if (!meets(facts, want)) return false;
  return true;
}

/**
 * Visits the values of listed dimensions that a ticket states, and those it accepts nobody without; each once. A want of many values is
 * none of those: it excludes few.
 * @returns whether there are any of the latter.
 */
export function forEachListedValue(
  { wishes: { facts }, required }: Fitting,
  listed: ReadonlySet<string>,
  visit: (dimension: string, value: string) => void,
): boolean {
  for (const name of listed) {
    const stated = facts?.[name];
    if (typeof stated === "string") visit(name, stated);
    else if (typeof stated === "object") for (const value of stated) visit(name, value);
  }
  let requiresAny = false;
  for (const want of required ?? []) {
    if (!want.in || want.in.length > factLimits.setValuesMax || !listed.has(want.of)) continue;
    requiresAny = true;
    const stated = facts?.[want.of];
    for (const value of want.in)
      if (stated !== value && !(typeof stated === "object" && stated.includes(value)))
        visit(want.of, value);
  }
  return requiresAny;
}

/** Those facts that the partner is told; `undefined` without any. */
export function shownFacts(
  facts: Facts | undefined,
  dimensions: Dimensions | undefined,
): Facts | undefined {
  if (dimensions?.shown === undefined || facts === undefined) return undefined;
  let shown: Record<string, FactValue> | undefined;
  for (const name of dimensions.shown) {
    const fact = facts[name];
    if (fact !== undefined) (shown ??= {})[name] = fact;
  }
  return shown;
}

/** The facts of a peer with those that the operator states of it now, in place of those it has stated before. */
export function withClaims(
  facts: Facts | undefined,
  claims: Facts,
  declared: FactsDeclaration,
): Facts | undefined {
  const own = Object.entries(facts ?? {}).filter(([name]) => declared[name]?.by !== "claims");
  const all = { ...Object.fromEntries(own), ...claims };
  return Object.keys(all).length > 0 ? all : undefined;
}

/** @param declared valid, as the configuration checks it. */
export function createDimensions(declared: FactsDeclaration): Dimensions {
  const coded = code(declared);
  const words = 1 + Math.max(0, ...coded.map(({ from }) => from >>> 5));
  const namesOf = (has: (dimension: { kind: string; of: readonly string[] }) => boolean) =>
    new Set(
      Object.entries(declared)
        .filter(([, dimension]) => has({ of: [], ...dimension }))
        .map(([name]) => name),
    );
  const byName = new Map(coded.map((one) => [one.name, one]));
  const shown = Object.keys(declared).filter((name) => declared[name]?.shown);
  return {
    declared,
    shown: shown.length > 0 ? shown : undefined,
    layout: hashOf(JSON.stringify(declared)),
    sets: namesOf(({ kind }) => kind === "set"),
    listed: namesOf(({ kind, of }) => kind === "set" || of.length > groupsMax),
    words,
    coded,
    compared: namesOf(
      ({ kind, of }) => kind === "set" || kind === "range" || of.length > groupsMax,
    ),
    isTold(want) {
      const one = byName.get(want.of);
      return one !== undefined && isToldByBits(one, want);
    },
    bitsOf({ wishes: { facts }, required }) {
      const bits = Array<number>(2 * words).fill(0);
      const set = (word: number, mask: number) => void (bits[word] = (bits[word] ?? 0) | mask);
      for (const one of coded) set(one.from >>> 5, statedBit(one, facts));
      for (const want of required ?? []) {
        const one = byName.get(want.of);
        if (one) set(words + (one.from >>> 5), refusedBits(one, want));
      }
      return bits;
    },
  };
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let n = 0; n < text.length; n++)
    hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193) >>> 0;
  return hash.toString(36);
}

/** Lays out the bits. No dimension lies across two words. */
function code(declared: FactsDeclaration): Coded[] {
  const coded: Coded[] = [];
  let from = 0;
  for (const [name, dimension] of Object.entries(declared)) {
    if (dimension.kind === "set") continue;
    const bands = dimension.kind === "range" ? bandsOf(dimension) : [];
    const values = dimension.kind === "one" ? dimension.of : [];
    const count =
      dimension.kind === "one" ? values.length : dimension.kind === "flag" ? 2 : bands.length;
    const groups = Math.min(count, groupsMax);
    if ((from & 31) + groups + 1 > 32) from = (from | 31) + 1;
    const numbers = new Map(values.map((value, number) => [value, number]));
    coded.push({ name, dimension, from, groups, numbers, bands });
    from += groups + 1;
  }
  return coded;
}

/** The lowest value of each band. */
function bandsOf({ from, to, bands }: Extract<FactDimension, { kind: "range" }>): number[] {
  if (bands) return [from, ...bands];
  const count = Math.min(defaultBands, to - from + 1);
  return Array.from({ length: count }, (_, n) => from + Math.ceil((n * (to - from + 1)) / count));
}

/** The group of a value; `undefined` for one that is not declared, as another node may know it. */
function groupOf({ numbers, bands, groups }: Coded, value: FactValue | undefined) {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") {
    const number = numbers.get(value);
    return number === undefined ? undefined : number % groups;
  }
  if (typeof value !== "number") return undefined;
  let band = bands.length - 1;
  while (band > 0 && value < (bands[band] ?? 0)) band -= 1;
  return band;
}

/** Bit 0 of a dimension: not stated. */
function statedBit(one: Coded, facts: Facts | undefined): number {
  const group = groupOf(one, facts?.[one.name]);
  return 1 << ((one.from & 31) + (group === undefined ? 0 : group + 1));
}

function refusedBits(one: Coded, want: Want): number {
  const { from, groups } = one;
  const shift = from & 31;
  const all = (groups === 31 ? -1 : (1 << (groups + 1)) - 1) << shift;
  return all & ~(acceptedGroups(one, want) << (shift + 1));
}

/** The groups with a value that a want accepts: bit 0 is that of the first. */
function acceptedGroups(one: Coded, want: Want): number {
  const { dimension, groups, bands } = one;
  if (dimension.kind === "flag") return want.is === undefined ? 0 : 1 << Number(want.is);
  let accepted = 0;
  if (dimension.kind === "one") {
    for (const value of want.in ?? []) {
      const group = groupOf(one, value);
      if (group !== undefined) accepted |= 1 << group;
    }
    return accepted;
  }
  const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = want;
  for (let group = 0; group < groups; group++) {
    const lowest = bands[group] ?? dimension.from;
    const next = bands[group + 1] ?? dimension.to + 1;
    if (from < next && to >= lowest) accepted |= 1 << group;
  }
  return accepted;
}

/** Whether each group is accepted as a whole or not at all. Ranges have whole numbers. */
function isToldByBits({ dimension, bands }: Coded, { from, to }: Want): boolean {
  if (dimension.kind === "flag") return true;
  if (dimension.kind === "one") return dimension.of.length <= groupsMax;
  const beginsBand = from === undefined || from <= dimension.from || bands.includes(from);
  const endsBand = to === undefined || to >= dimension.to || bands.includes(to + 1);
  return beginsBand && endsBand;
}
