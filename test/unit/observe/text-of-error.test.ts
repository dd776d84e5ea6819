/** What is logged of errors that operators' hooks throw. */
import { describe, expect, test } from "bun:test";
import { placeOfError } from "../../../src/observe/text-of-error.ts";

describe("the place of an error", () => {
  const secret = "the words of a peer";
  const made = (change: (error: Error) => void) => {
    const error = new Error(secret);
    change(error);
    return error;
  };

  test("is its kind and where it was thrown, and nothing of its message", () => {
    for (const error of [
      new TypeError(secret),
      new TypeError(`${secret}:\n    at ${secret}:1:2\n    at ${secret} (/a.ts:3:4)`),
    ])
      expect(placeOfError(error)).toMatch(/^TypeError at [^:]*text-of-error\.test\.ts:\d+:\d+\)?$/);
    expect(placeOfError(secret)).toBe("it has thrown no error but string");
    expect(placeOfError(made((error) => (error.name = secret)))).toStartWith("an error at ");
  });

  test("is unknown of an error that can't be read", () => {
    const fail = () => {
      throw new Error(secret);
    };
    const unreadable = [
      made((error) => Object.defineProperty(error, "stack", { get: fail })),
      made((error) => Object.defineProperty(error, "message", { value: Symbol(secret) })),
      new Proxy(new Error(secret), { getPrototypeOf: fail }),
    ];
    for (const error of unreadable)
      expect(placeOfError(error)).toBe("it has thrown an error that can't be read");
  });
});
