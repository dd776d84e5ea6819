/** What is logged of faults in an operator's hooks. */
import { expect, test } from "bun:test";
import { createHookFaults } from "../../../src/app/hook-faults.ts";
import type { LogFields } from "../../../src/observe/log-fields.ts";
import { createVirtualSystem } from "../../support/virtual-system.ts";

function faultsOf() {
  const lines: (LogFields | undefined)[] = [];
  const line = (_: string, fields?: LogFields) => void lines.push(fields);
  const log = { debug: line, info: line, warn: line, error: line, bug: () => {} };
  return { lines, tell: createHookFaults(log, { hookFailed() {} }, createVirtualSystem()) };
}

const thrownBy = (parse: () => unknown) => {
  try {
    return parse();
  } catch (error) {
    return error;
  }
};

test("what a hook throws is told, but not what a parser quotes of a peer's credentials", () => {
  const { lines, tell } = faultsOf();
  tell("authenticate", new Error("the database is away"));
  tell(
    "isOperator",
    thrownBy(() => JSON.parse("s3cr3t")),
  );
  tell(
    "admit",
    thrownBy(() => BigInt("s3cr3t")),
  );
  tell("message", new Error("s3cr3t"));
  const errors = lines.map((fields) => String(fields?.["error"]));
  expect(errors[0]).toBe("Error: the database is away");
  expect(errors).toHaveLength(4);
  expect(errors.slice(1).join()).not.toContain("s3cr3t");
});
