import { expect, test } from "bun:test";
import { caseIdPattern, createCaseIds } from "../../../src/signaling/case-ids.ts";

const ids = createCaseIds(["the first secret"]);
const alice = { sessionId: "alice" };

test("a reporter's report of a room has one id, on all nodes, and no other has it", () => {
  const id = ids.of(alice, "room");
  expect(id).toMatch(caseIdPattern);
  expect(createCaseIds(["the first secret"]).of(alice, "room")).toBe(id);
  const others = [
    ids.of(alice, "another room"),
    ids.of({ sessionId: "bob" }, "room"),
    ids.of({ sessionId: "alice", account: "42" }, "room"),
    createCaseIds(["another secret"]).of(alice, "room"),
  ];
  expect(others).not.toContain(id);
});

test("an id shows whose it is: its session's, or its account's in any session", () => {
  const id = ids.of(alice, "room");
  expect(ids.isOwn(alice, id)).toBe(true);
  expect(ids.isOwn({ sessionId: "bob" }, id)).toBe(false);
  expect(ids.isOwn({ sessionId: "alice", account: "42" }, id)).toBe(false);
  const ofAccount = ids.of({ sessionId: "alice", account: "42" }, "room");
  expect(ids.isOwn({ sessionId: "another tab", account: "42" }, ofAccount)).toBe(true);
  expect(ids.isOwn({ sessionId: "alice" }, ofAccount)).toBe(false);
  expect(ids.isOwn({ sessionId: "42" }, ofAccount)).toBe(false);
  for (const forged of ["", id.slice(0, -1), `${id}x`, id.slice(0, 22), "x".repeat(38)])
    expect(ids.isOwn(alice, forged)).toBe(false);
});

test("an id outlives the rotation of the secret that made it", () => {
  const id = ids.of(alice, "room");
  expect(createCaseIds(["a new secret", "the first secret"]).isOwn(alice, id)).toBe(true);
  expect(createCaseIds(["a new secret"]).isOwn(alice, id)).toBe(false);
});
