/** The documents whose tables and examples are compared with the code. */
import { join } from "node:path";
import { root } from "./root.ts";

const read = (file: string) => Bun.file(join(root, file)).text();

export const readme = await read("README.md");
/** How the server is run. */
export const operating = await read("src/app/README.md");
/** The client's reference. */
export const clientReference = await read("src/client/README.md");
/** The wire protocol. */
export const wireProtocol = await read("src/rpc/README.md");
const architecture = await read("src/README.md");

export const documents = { readme, operating, clientReference, wireProtocol, architecture };

/** The line that grants a user what a node needs, as arguments for `redis-cli`. */
export function documentedAcl(): string[] {
  const line = /^ACL SETUSER .*$/m.exec(operating)?.[0];
  if (line === undefined) throw new Error("the document has no such line");
  return line.split(" ");
}
