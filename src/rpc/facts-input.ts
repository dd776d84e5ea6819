/**
 * What a peer states and wants in `join`, as zod schemas that a declaration makes: undeclared dimensions and values are refused by name.
 * Their output is the form in which the domain compares facts and wants.
 */
import { z } from "zod";
import { withClaims, type Stated, type Want } from "../domain/facts.ts";
import type { Facts, FactValue } from "../protocol.ts";
import { factLimits, type FactDimension, type FactsDeclaration } from "../protocol/declaration.ts";

const { setValuesMax, softAfterMsMax } = factLimits;

type Kind<K extends FactDimension["kind"]> = Extract<FactDimension, { kind: K }>;

/** One of the declared values, as the declaration's own string: a string of each ticket's own would cost memory. */
function declaredValue(of: readonly string[]): z.ZodType<string> {
  const declared = new Map(of.map((value) => [value, value]));
  return z.enum(of, "is no declared value").transform((value) => declared.get(value) ?? value);
}

const valuesOf = (of: readonly string[], max: number) =>
  z
    .array(declaredValue(of))
    .min(1, "must name a value")
    .max(max, `must be at most ${max} values`)
    .transform((values) => [...new Set(values)]);

const numberOf = ({ from, to }: Kind<"range">) =>
  z.int("must be a whole number").min(from, `is below ${from}`).max(to, `is above ${to}`);

/** A fact of a dimension. */
function factSchema(dimension: FactDimension): z.ZodType<FactValue> {
  switch (dimension.kind) {
    case "one":
      return declaredValue(dimension.of);
    case "set":
      return valuesOf(dimension.of, setValuesMax);
    case "range":
      return numberOf(dimension);
    case "flag":
      return z.boolean();
  }
}

interface Firmness {
  hard?: boolean | undefined;
  softAfterMs?: number | undefined;
}

const firmness = ({ hard = true }: FactDimension) => ({
  hard: hard ? z.boolean().optional() : z.literal(false, "can't be hard here").optional(),
  softAfterMs: z.int().min(0).max(softAfterMsMax).optional(),
});

const isFirmnessClear = ({ hard, softAfterMs }: Firmness) =>
  hard !== true || softAfterMs === undefined;
const unclear = { path: ["softAfterMs"], error: "is not for a hard want, which never gives way" };

/**
 * A want of a dimension.
 * @param softAfterMs after which it gives way if it is not hard, and does not say when itself (milliseconds).
 */
function wantSchema(of: string, dimension: FactDimension, softAfterMs: number): z.ZodType<Want> {
  const soft = (want: Firmness) =>
    want.hard === true ? undefined : { softAfterMs: want.softAfterMs ?? softAfterMs };
  switch (dimension.kind) {
    case "one":
    case "set": {
      const max = dimension.kind === "one" ? dimension.of.length : setValuesMax;
      return z
        .strictObject({ in: valuesOf(dimension.of, max), ...firmness(dimension) })
        .refine(isFirmnessClear, unclear)
        .transform((want) => ({ of, in: want.in, ...soft(want) }));
    }
    case "range":
      return z
        .strictObject({
          from: numberOf(dimension).optional(),
          to: numberOf(dimension).optional(),
          ...firmness(dimension),
        })
        .refine(({ from, to }) => from !== undefined || to !== undefined, "needs `from` or `to`")
        .refine(({ from, to }) => from === undefined || to === undefined || from <= to, {
          path: ["from"],
          error: "must not be above `to`",
        })
        .refine(isFirmnessClear, unclear)
        .transform((want) => ({
          of,
          ...(want.from !== undefined && { from: want.from }),
          ...(want.to !== undefined && { to: want.to }),
          ...soft(want),
        }));
    case "flag":
      return z
        .strictObject({ is: z.boolean(), ...firmness(dimension) })
        .refine(isFirmnessClear, unclear)
        .transform((want) => ({ of, is: want.is, ...soft(want) }));
  }
}

const forged = z.never("is not for a peer to state").optional();

/** `facts` of `join`. */
export function factsInput(
  declared: FactsDeclaration,
): z.ZodOptional<z.ZodType<Facts | undefined>> {
  const members = Object.entries(declared).map(([name, dimension]) => [
    name,
    dimension.by === "claims" ? forged : factSchema(dimension).optional(),
  ]);
  return z
    .strictObject(Object.fromEntries(members) as Record<string, z.ZodType<FactValue | undefined>>)
    .transform(withoutAbsent)
    .optional();
}

/** `wants` of `join`. */
export function wantsInput(
  declared: FactsDeclaration,
  softAfterMs: number,
): z.ZodOptional<z.ZodType<readonly Want[]>> {
  const members = Object.entries(declared).map(([name, dimension]) => [
    name,
    wantSchema(name, dimension, softAfterMs).optional(),
  ]);
  return z
    .strictObject(Object.fromEntries(members) as Record<string, z.ZodType<Want | undefined>>)
    .transform((wants) => Object.values(wants).filter((want) => want !== undefined))
    .optional();
}

function withoutAbsent(facts: Record<string, FactValue | undefined>): Facts | undefined {
  const stated: Record<string, FactValue> = {};
  for (const [name, fact] of Object.entries(facts)) if (fact !== undefined) stated[name] = fact;
  return Object.keys(stated).length > 0 ? stated : undefined;
}

/** The facts that an operator states, of what it knows of a peer by `authenticate` or a token. */
export interface JoinClaims {
  /** Those of declared dimensions. What is no value of its dimension counts as not stated. */
  read(known: Known): Facts;
  /** Wishes, whose own facts are of other dimensions, with these facts. */
  addTo<Asked extends Stated>(asked: Asked, known: Known): Asked;
}

type Known = Readonly<Record<string, unknown>> | undefined;

/**
 * @param onFault told of each claim that is no value of its dimension. Must not throw.
 * @returns `undefined` if the operator states no dimension.
 */
export function createJoinClaims(
  declared: FactsDeclaration,
  onFault: (dimension: string) => void,
): JoinClaims | undefined {
  const schemas = Object.entries(declared).flatMap(([name, dimension]) =>
    dimension.by === "claims" ? [{ name, schema: factSchema(dimension) }] : [],
  );
  if (schemas.length === 0) return undefined;
  function read(known: Known): Facts {
    const claims: Record<string, FactValue> = {};
    for (const { name, schema } of schemas) {
      // Databases have null for what they do not know.
      const value = known?.[name] ?? undefined;
      if (value === undefined) continue;
      const { success, data } = schema.safeParse(value);
      if (success) claims[name] = data;
      else onFault(name);
    }
    return claims;
  }
  return {
    read,
    addTo: (asked, known) => ({ ...asked, facts: withClaims(asked.facts, read(known), declared) }),
  };
}
