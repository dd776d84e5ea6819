/** What the page says of warnings and suspensions, and where to object. */
import { expect, test } from "bun:test";
import { appealLink, suspensionWords, warningWords } from "../../../src/web/moderation-words.ts";
import { english } from "../../../src/web/language.ts";
import type { SanctionReason } from "../../../src/protocol.ts";

const language = english([]);

const suspended = (fields: { because?: SanctionReason; caseId?: string; appeal?: string }) =>
  suspensionWords(
    { kind: "rejected", reason: "suspended", message: "", cause: undefined, ...fields },
    language,
  );

test("a suspension says who decided it, and for what", () => {
  expect(suspended({})).toStartWith("Several people reported you, or a moderator suspended you.");
  expect(suspended({ because: "operator" })).toStartWith("A moderator suspended you.");
  expect(suspended({ because: "minor" })).toStartWith("You were reported for seeming underage.");
});

test("where to object is in the text unless it is a web address, which is a link", () => {
  const text = suspended({ caseId: "c1", appeal: "write to help@example.com" });
  expect(text).toEndWith(
    "Your case is c1. If you think that this is wrong: write to help@example.com",
  );
  expect(appealLink("write to help@example.com")).toBeUndefined();
  expect(suspended({ appeal: "https://example.com/appeal" })).not.toContain("example.com");
  expect(appealLink("https://example.com/appeal")).toBe("https://example.com/appeal");
});

test.each(["javascript:alert(1)", "https://", "see https://example.com", "data:text/html,x"])(
  "%p is no link",
  (appeal) => expect(appealLink(appeal)).toBeUndefined(),
);

test("a warning says for what, and what follows", () => {
  expect(warningWords({ type: "warning", because: "spam", caseId: "c2" }, language)).toBe(
    "You were reported for spam, advertising or a recording. If this goes on, you will be suspended and cannot meet anybody for a while. Your case is c2.",
  );
  expect(warningWords({ type: "warning", because: "operator" }, language)).toStartWith(
    "A moderator warned you.",
  );
});
