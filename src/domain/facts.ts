/**
 * What peers state about themselves, in dimensions that the operator declares, and what they want of each other. The wants of both are
 * checked: two tickets fit if the facts of each meet all wants of the other that hold at the moment.
 *
 * Most of that is decided by bit sets. Each dimension but a set has a bit for each of its values, or for each group of them, and one for
 * "not stated"; a ticket has one bit set of what it states and one of what it refuses. Two fit unless one states what the other one refuses.
 * What bits can't tell is compared value by value.
 */
import {
  factLimits,
  type FactDimension,
  type Facts,
  type FactsDeclaration,
  type FactValue,
} from "../protocol.ts";

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

/** What a ticket states and wants. */
export interface Stated {
  readonly facts?: Facts | undefined;
  readonly wants?: readonly Want[] | undefined;
}

/** What of it decides whom the ticket fits, at the moment. */
export interface Fit {
  /** 32 bits each: as many for what is stated as for what is refused, which come after. */
  readonly bits: readonly number[];
  /** Which wants bits can't tell, as indices; absent: none. */
  readonly exact?: readonly number[];
}

export interface Dimensions {
  readonly declared: FactsDeclaration;
  /** Differs between declarations: bits of two are not to be compared. No blanks. */
  readonly layout: string;
  /**
   * The names of those whose values are looked up one by one, as bits tell nothing or too little about them: of kind `set`, and of kind
   * `one` with more values than have bits.
   */
  readonly listed: ReadonlySet<string>;
  /** Whom a ticket fits after `waitedMs`. */
  fitOf(stated: Stated, waitedMs: number): Fit;
}

/** A dimension other than a set, and where its bits are. */
interface Coded {
  readonly name: string;
  readonly dimension: Exclude<FactDimension, { kind: "set" }>;
  readonly word: number;
  readonly shift: number;
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

/** Whether facts meet a want. One that is not stated meets none. */
export function meets(facts: Facts | undefined, want: Want): boolean {
  const fact = facts?.[want.of];
  switch (typeof fact) {
    case "undefined":
      return false;
    case "string":
      return want.in?.includes(fact) === true;
    case "boolean":
      return fact === want.is;
    case "number":
      return fact >= (want.from ?? -Infinity) && fact <= (want.to ?? Infinity);
    default:
      return fact.some((value) => want.in?.includes(value));
  }
}

/** Whether two tickets fit. Those of a lobby without dimensions all do. */
export function fit(
  one: { readonly wishes: Stated; readonly fit: Fit | undefined },
  other: { readonly wishes: Stated; readonly fit: Fit | undefined },
): boolean {
  if (one.fit === undefined || other.fit === undefined) return true;
  return (
    fitByBits(one.fit.bits, other.fit.bits) &&
    meetsExactly(other.wishes, one.wishes, one.fit) &&
    meetsExactly(one.wishes, other.wishes, other.fit)
  );
}

function fitByBits(one: readonly number[], other: readonly number[]): boolean {
  const words = one.length / 2;
  for (let n = 0; n < words; n++) {
    const refused = (one[n] ?? 0) & (other[words + n] ?? 0);
    if ((refused | ((other[n] ?? 0) & (one[words + n] ?? 0))) !== 0) return false;
  }
  return true;
}

/** Whether those facts meet the wants that bits can't tell. */
function meetsExactly({ facts }: Stated, { wants }: Stated, { exact }: Fit): boolean {
  if (exact === undefined) return true;
  return exact.every((n) => wants?.[n] === undefined || meets(facts, wants[n]));
}

/**
 * Visits the values of listed dimensions that a ticket states, and those it wants while it accepts nobody without them; each once. A want
 * of many values is none of those: it excludes few.
 * @returns whether it wants any.
 */
export function forEachListedValue(
  { facts, wants }: Stated,
  { exact }: Fit,
  { listed }: Dimensions,
  visit: (dimension: string, value: string) => void,
): boolean {
  const visited = new Set<string>();
  const visitOnce = (dimension: string, value: string) => {
    const key = `${dimension}\n${value}`;
    if (visited.has(key)) return;
    visited.add(key);
    visit(dimension, value);
  };
  for (const name of listed) {
    const stated = facts?.[name];
    if (typeof stated === "string") visitOnce(name, stated);
    else if (typeof stated === "object") for (const value of stated) visitOnce(name, value);
  }
  let wantsAny = false;
  for (const n of exact ?? []) {
    const want = wants?.[n];
    if (!want?.in || want.in.length > factLimits.setValuesMax || !listed.has(want.of)) continue;
    wantsAny = true;
    for (const value of want.in) visitOnce(want.of, value);
  }
  return wantsAny;
}

/** @param declared valid, as the configuration checks it. */
export function createDimensions(declared: FactsDeclaration): Dimensions {
  const coded = code(declared);
  const words = 1 + Math.max(0, ...coded.map(({ word }) => word));
  const byName = new Map(coded.map((one) => [one.name, one]));
  return {
    declared,
    layout: hashOf(JSON.stringify(declared)),
    listed: new Set(
      Object.entries(declared).flatMap(([name, dimension]) => (isListed(dimension) ? name : [])),
    ),
    fitOf({ facts, wants }, waitedMs) {
      const bits = Array<number>(2 * words).fill(0);
      for (const one of coded) bits[one.word] = (bits[one.word] ?? 0) | statedBit(one, facts);
      let exact: number[] | undefined;
      for (const [n, want] of (wants ?? []).entries()) {
        if (!isRequired(want, waitedMs)) continue;
        const one = byName.get(want.of);
        if (one) bits[words + one.word] = (bits[words + one.word] ?? 0) | refusedBits(one, want);
        if (!one || !isToldByBits(one, want)) (exact ??= []).push(n);
      }
      return exact === undefined ? { bits } : { bits, exact };
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

const isListed = (dimension: FactDimension) =>
  dimension.kind === "set" || (dimension.kind === "one" && dimension.of.length > groupsMax);

/** Lays out the bits. No dimension lies across two words. */
function code(declared: FactsDeclaration): Coded[] {
  const coded: Coded[] = [];
  let word = 0;
  let shift = 0;
  for (const [name, dimension] of Object.entries(declared)) {
    if (dimension.kind === "set") continue;
    const bands = dimension.kind === "range" ? bandsOf(dimension) : [];
    const values = dimension.kind === "one" ? dimension.of : [];
    const count =
      dimension.kind === "one" ? values.length : dimension.kind === "flag" ? 2 : bands.length;
    const groups = Math.min(count, groupsMax);
    if (shift + groups + 1 > 32) {
      word += 1;
      shift = 0;
    }
    const numbers = new Map(values.map((value, number) => [value, number]));
    coded.push({ name, dimension, word, shift, groups, numbers, bands });
    shift += groups + 1;
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
  return 1 << (one.shift + (group === undefined ? 0 : group + 1));
}

function refusedBits(one: Coded, want: Want): number {
  const { shift, groups } = one;
  let accepted = 0;
  for (let group = 0; group < groups; group++)
    if (acceptsSomeOf(one, group, want)) accepted |= 1 << (shift + group + 1);
  const all = (groups === 31 ? -1 : (1 << (groups + 1)) - 1) << shift;
  return all & ~accepted;
}

function acceptsSomeOf(one: Coded, group: number, want: Want): boolean {
  const { dimension, bands } = one;
  if (dimension.kind === "flag") return want.is === (group === 1);
  if (dimension.kind === "one")
    return want.in?.some((value) => groupOf(one, value) === group) === true;
  const lowest = bands[group] ?? dimension.from;
  const next = bands[group + 1] ?? dimension.to + 1;
  return (want.from ?? -Infinity) < next && (want.to ?? Infinity) >= lowest;
}

/** Whether each group is accepted as a whole or not at all. Ranges have whole numbers. */
function isToldByBits({ dimension, bands }: Coded, { from, to }: Want): boolean {
  if (dimension.kind === "flag") return true;
  if (dimension.kind === "one") return dimension.of.length <= groupsMax;
  const beginsBand = from === undefined || from <= dimension.from || bands.includes(from);
  const endsBand = to === undefined || to >= dimension.to || bands.includes(to + 1);
  return beginsBand && endsBand;
}
