/** The rights that the documents ask for are those that the engine needs. */
import { expect, test } from "bun:test";
import { Glob } from "bun";
import { join } from "node:path";
import {
  aclLine,
  clusterRights,
  databaseRights,
  rights,
} from "../../../src/engine/redis/rights.ts";
import { operating } from "../../support/documents.ts";
import { root } from "../../support/root.ts";

const folder = join(root, "src/engine/redis");
const sources = await Promise.all(
  [...new Glob("**/*.{ts,lua}").scanSync(folder)]
    .filter((file) => file !== "rights.ts")
    .map((file) => Bun.file(join(folder, file)).text()),
);

/** Commands as scripts and nodes write them, in capitals and quotes; or a method of Redis' client that sends one. */
const used = new Set(
  sources.flatMap((text) => [
    ...[...text.matchAll(/redis\.call\('(\w+)'/g)].map(([, name = ""]) => name.toLowerCase()),
    ...[...text.matchAll(/(?:ommand\(|\[)"([A-Z]{3,})"/g)].map(([, name = ""]) =>
      name.toLowerCase(),
    ),
    ...[...text.matchAll(/\.(sSubscribe|sUnsubscribe)\(/g)].map(([, name = ""]) =>
      name.toLowerCase(),
    ),
  ]),
);

test("the document has the line that grants them", () => {
  expect(operating).toContain(`\n${aclLine("peer-stream:")}\n`);
});

test("each command that the engine sends is granted, and no other", () => {
  const granted = new Set([...rights, ...clusterRights, ...databaseRights].map(([name]) => name));
  // Redis' client logs in and selects the database; Sentinels are asked by a user of their own.
  const sent = new Set([...used, "select"]);
  sent.delete("sentinel");
  expect([...sent].sort()).toEqual([...granted].sort());
});
