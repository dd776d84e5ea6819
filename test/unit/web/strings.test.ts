/** The strings of the page: every language has those of English, with the same placeholders, and the page's markup names only such. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { languageNames, loadLanguage, pickTag, plural } from "../../../src/web/language.ts";
import { en } from "../../../src/web/strings/en.ts";

const tags = ["en", "de", "es", "ja"] as const;

/** Each string by its path; of one that depends on a number, each form: `errors.inSeconds#one`. */
function flatten(part: object, path = ""): Map<string, string> {
  const isPlural = "one" in part ? "other" in part : Object.keys(part).join() === "other";
  return new Map(
    Object.entries(part).flatMap(([name, value]) => {
      const at = path === "" ? name : `${path}${isPlural ? "#" : "."}${name}`;
      return typeof value === "string" ? [[at, value] as const] : [...flatten(value, at)];
    }),
  );
}

const keyOf = (path: string) => path.split("#")[0] ?? "";
const placeholders = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort();
const english = flatten(en);

test("all languages that the page offers are checked here", () => {
  expect(Object.keys(languageNames)).toEqual([...tags]);
  expect(english.size).toBeGreaterThan(200);
});

describe.each(tags)("in %s", async (tag) => {
  const language = await loadLanguage(tag, []);
  const strings = flatten(language.strings);

  test("no string is missing and none is too many", () => {
    const keys = (all: Map<string, string>) => [...new Set([...all.keys()].map(keyOf))].sort();
    expect(keys(strings)).toEqual(keys(english));
  });

  test("no string is empty, and none but names and formats is a copy of the English one", () => {
    /** Words that are the same in both. */
    const same = new Set([
      "Chat",
      "Text",
      "Video",
      "Start",
      "Codecs",
      "No",
      "no",
      "Lobby",
      "{count} online",
      "{name}: {value}",
      "{from}: {text}",
      "{device} {number}",
    ]);
    for (const [path, text] of strings) {
      expect([path, text.trim()]).not.toEqual([path, ""]);
      if (tag !== "en" && text === english.get(path))
        expect([path, same.has(text)]).toEqual([path, true]);
    }
  });

  test("the placeholders are those of the English string", () => {
    for (const [path, text] of strings) {
      const original = english.get(path) ?? english.get(`${keyOf(path)}#other`) ?? "";
      // A form for one or two may do without the number: "in a second".
      const needed = (all: string) =>
        placeholders(all).filter((name) => name !== "{count}" || /#(other|many|few)$/.test(path));
      expect([path, needed(text)]).toEqual([path, needed(original)]);
    }
  });

  test("there is a form for each plural category of the language, and none that it has not", () => {
    const { pluralCategories } = new Intl.PluralRules(tag).resolvedOptions();
    const forms = new Map<string, string[]>();
    for (const path of strings.keys()) {
      const [key = "", form] = path.split("#");
      if (form) forms.set(key, [...(forms.get(key) ?? []), form]);
    }
    expect(forms.size).toBeGreaterThan(0);
    for (const [key, found] of forms)
      expect([key, found.sort()]).toEqual([key, [...pluralCategories].sort()]);
  });
});

describe("the language of a visitor", () => {
  test.each([
    ["", ["de-AT", "en"], "de"],
    ["", ["fr", "es-MX", "en"], "es"],
    ["", ["JA"], "ja"],
    ["", ["fr", "pt"], "en"],
    ["", [], "en"],
    ["ja", ["de"], "ja"],
    ["fr", ["de"], "de"],
    ["", ["toString", "de"], "de"],
  ])("with %p chosen before and the browser's %p is %p", (chosen, preferred, tag) => {
    expect(pickTag(chosen, preferred)).toBe(tag as (typeof tags)[number]);
  });

  test("formats numbers as the browser's region does", async () => {
    const swiss = await loadLanguage("de", ["fr-CH", "de-CH"]);
    expect(swiss.locale).toBe("de-CH");
    expect(plural(swiss, swiss.strings.page.online, 12_345)).toMatch(/^12['’]345 online$/);
    const german = await loadLanguage("de", ["en"]);
    expect(plural(german, german.strings.errors.inSeconds, 1)).toBe("in einer Sekunde");
    expect(plural(german, german.strings.errors.inSeconds, 2)).toBe("in 2 Sekunden");
  });
});

describe("the markup of the page", async () => {
  const html = await Bun.file(join(import.meta.dir, "../../../src/web/index.html")).text();

  test("names only strings that there are", () => {
    const keys = [...html.matchAll(/data-(?:text|label|hint|placeholder)="([^"]+)"/g)].map(
      ([, key = ""]) => key,
    );
    expect(keys.length).toBeGreaterThan(50);
    expect(keys.filter((key) => !english.has(key))).toEqual([]);
  });

  test("has no text of its own but the name of the page and of a key", () => {
    const body = html.slice(html.indexOf("<body")).replace(/<[^>]*>/g, " ");
    expect(body.split(/\s+/).filter((word) => word !== "")).toEqual(["Peer", "Stream", "Esc"]);
  });
});

test("each string is used by the page", async () => {
  const web = join(import.meta.dir, "../../../src/web");
  const files = [...new Bun.Glob("*.{ts,html}").scanSync(web)];
  const source = (await Promise.all(files.map((file) => Bun.file(join(web, file)).text()))).join(
    "\n",
  );
  /** Strings that are found by a value: of a state, an error, a mode or a reason. */
  const byValue =
    /^(ended|status\.openingDevices|modes\.\w+\.|camera\.[\w-]+\.|stats\.paths|(report\.reasons|sanctions\.reported)\.)/;
  const unused = [...new Set([...english.keys()].map(keyOf))].filter((key) => {
    const name = key.split(".").at(-1) ?? "";
    return !byValue.test(key) && !new RegExp(`\\b${name}\\b`).test(source);
  });
  expect(unused).toEqual([]);
});
