/**
 * The part of the wire contract that each site declares for itself: which facts and wants there are, what `join` takes because of it, and
 * what `site` tells pages.
 */
import type { Mode, Rules } from "../protocol.ts";

/** Bounds of what an operator declares and a peer states. */
export const factLimits = {
  dimensionsMax: 8,
  /** Characters of the name of a dimension or a value. */
  nameCharsMax: 64,
  /** Values of a dimension of kind `one` or `set`. */
  valuesMax: 256,
  /** Values of a set that one peer states. */
  setValuesMax: 16,
  bandsMax: 31,
  /** Milliseconds after which a want gives way at the latest, unless it is hard. */
  softAfterMsMax: 120_000,
} as const;

interface DimensionRules {
  /** Who states it: the peer itself, in `join`, or the operator, by `authenticate` or a token's claims. Default: `peer`. */
  readonly by?: "peer" | "claims" | undefined;
  /** Whether the partner is told the fact. Default: false. */
  readonly shown?: boolean | undefined;
  /** Whether a want of it may be hard. Default: true. */
  readonly hard?: boolean | undefined;
}

/** One thing that is known of peers, as the operator declares it. */
export type FactDimension =
  /** One of these values. */
  | ({ readonly kind: "one"; readonly of: readonly string[] } & DimensionRules)
  /** Some of these values; a want of some is met by any of them. */
  | ({ readonly kind: "set"; readonly of: readonly string[] } & DimensionRules)
  /**
   * A whole number from `from` to `to`. Numbers are looked up by bands, and then compared exactly.
   * `bands`: the lowest number of each but the first, ascending; by default up to 16 equal ones.
   */
  | ({
      readonly kind: "range";
      readonly from: number;
      readonly to: number;
      readonly bands?: readonly number[] | undefined;
    } & DimensionRules)
  | ({ readonly kind: "flag" } & DimensionRules);

/** By name: at most eight. */
export type FactsDeclaration = Readonly<Record<string, FactDimension>>;

/** No dimension is declared. */
export type NoFacts = Readonly<Record<never, never>>;

/** An object that may have no members at all, if that is what `T` is: `{}` alone would take any object. */
type Closed<T> = [keyof T] extends [never] ? Readonly<Record<string, never>> : T;

/** A fact of a declared dimension. */
export type FactOf<Dimension> = Dimension extends { kind: "one"; of: readonly (infer V)[] }
  ? V
  : Dimension extends { kind: "set"; of: readonly (infer V)[] }
    ? readonly V[]
    : Dimension extends { kind: "range" }
      ? number
      : Dimension extends { kind: "flag" }
        ? boolean
        : never;

/** All facts that may be known of a peer, by name. */
export type FactsOf<Declared extends FactsDeclaration> = Closed<{
  readonly [Name in keyof Declared]?: FactOf<Declared[Name]>;
}>;

/** What a peer states in `join`, by name: none of those that come from the operator. */
export type FactsInput<Declared extends FactsDeclaration> = Closed<{
  readonly [
    Name in keyof Declared as Declared[Name] extends { by: "claims" } ? never : Name
  ]?: FactOf<Declared[Name]>;
}>;

/** How binding a want is. */
type Firmness<Dimension> =
  /** Never paired with one of whom it does not hold. */
  | (Dimension extends { hard: false }
      ? never
      : { readonly hard: true; readonly softAfterMs?: undefined })
  /** Until it has waited so long (milliseconds, at most `factLimits.softAfterMsMax`). Default: as with interests. */
  | { readonly hard?: false | undefined; readonly softAfterMs?: number | undefined };

type Selection<Dimension> = Dimension extends { kind: "one" | "set"; of: readonly (infer V)[] }
  ? { readonly in: readonly V[] }
  : Dimension extends { kind: "range" }
    ? /** Both inclusive, and one of them enough. */
      | { readonly from: number; readonly to?: number | undefined }
      | { readonly from?: undefined; readonly to: number }
    : Dimension extends { kind: "flag" }
      ? { readonly is: boolean }
      : never;

/** A want of a declared dimension: which of the partner's facts meet it. */
export type WantOf<Dimension> = Dimension extends FactDimension
  ? Selection<Dimension> & Firmness<Dimension>
  : never;

/** What a peer wants of its partner in `join`, by name. */
export type WantsInput<Declared extends FactsDeclaration> = Closed<{
  readonly [Name in keyof Declared]?: WantOf<Declared[Name]>;
}>;

/** The input of `join`, all of it optional, where these dimensions are declared. */
export interface JoinInput<Declared extends FactsDeclaration> {
  id?: string | undefined;
  interests?: string[] | undefined;
  languages?: string[] | undefined;
  mode?: Mode | undefined;
  relayOnly?: boolean | undefined;
  autoRejoin?: boolean | undefined;
  lobby?: string | undefined;
  facts?: FactsInput<Declared> | undefined;
  wants?: WantsInput<Declared> | undefined;
  /** Of the challenge that the call before was refused with, at most `limits.solutionBytesMax` bytes. */
  solution?: string | undefined;
  /** The version of the rules that the peer has agreed to. */
  agreed?: string | undefined;
}

/** The result of `site`: what the operator has declared, for pages. */
export interface Site {
  /** See `protocolVersion`. */
  protocol: number;
  modes: readonly Mode[];
  /** With all defaults filled in. */
  facts: FactsDeclaration;
  /** Which ones `join` may name. */
  lobbies: readonly string[];
  /** Absent: there are none. */
  rules?: Rules;
}
