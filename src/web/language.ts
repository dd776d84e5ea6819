/** Languages of the page: which one a visitor gets, and how its strings are filled with names, numbers and times. */
import { en, type PluralForms, type Strings } from "./strings/en.ts";

/** What each language calls itself, by its BCP 47 tag. */
export const languageNames = { en: "English", de: "Deutsch", es: "Español", ja: "日本語" } as const;

export type LanguageTag = keyof typeof languageNames;

/** Strings, and the locale by which numbers, lists and times are formatted. */
export interface Language {
  readonly tag: LanguageTag;
  /** As the visitor's browser names it: `de-AT` for the tag `de`. */
  readonly locale: string;
  readonly strings: Strings;
}

/** English is part of the page; the others are loaded when they are chosen. */
const loaders: Readonly<Record<LanguageTag, () => Strings | Promise<Strings>>> = {
  en: () => en,
  de: async () => (await import("./strings/de.ts")).de,
  es: async () => (await import("./strings/es.ts")).es,
  ja: async () => (await import("./strings/ja.ts")).ja,
};

const isTag = (tag: string): tag is LanguageTag => Object.hasOwn(languageNames, tag);

/**
 * The language for a visitor: the one that was chosen on an earlier visit, else the first of the browser's that the page has, else English.
 * @param preferred BCP 47 tags, such as `navigator.languages`.
 */
export function pickTag(chosen: string, preferred: readonly string[]): LanguageTag {
  return [chosen, ...preferred].map(primarySubtag).find(isTag) ?? "en";
}

/** Loads a language. @throws if its strings can't be loaded. */
export async function loadLanguage(
  tag: LanguageTag,
  preferred: readonly string[],
): Promise<Language> {
  return { tag, locale: localeOf(tag, preferred), strings: await loaders[tag]() };
}

/** English, which needs no loading. */
export function english(preferred: readonly string[]): Language {
  return { tag: "en", locale: localeOf("en", preferred), strings: en };
}

function localeOf(tag: LanguageTag, preferred: readonly string[]): string {
  return preferred.find((one) => primarySubtag(one) === tag) ?? tag;
}

const primarySubtag = (tag: string) => tag.toLowerCase().split("-")[0] ?? "";

/** Replaces each `{name}` by its value. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => values[name] ?? placeholder);
}

/** The form for `count`, which replaces `{count}`. */
export function plural(
  { locale }: Language,
  forms: PluralForms,
  count: number,
  values: Readonly<Record<string, string>> = {},
): string {
  const form = forms[new Intl.PluralRules(locale).select(count)] ?? forms.other;
  return fill(form, { count: formatNumber({ locale }, count), ...values });
}

/** @param options as of `Intl.NumberFormat`. */
export function formatNumber(
  { locale }: Pick<Language, "locale">,
  number: number,
  options?: Intl.NumberFormatOptions,
): string {
  return new Intl.NumberFormat(locale, options).format(number);
}

/** @param at epoch milliseconds. */
export function formatTime({ locale }: Language, at: number): string {
  return new Date(at).toLocaleString(locale);
}
