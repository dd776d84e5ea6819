/** Facts and wants in Redis: the contract. */
import { everyEngine } from "../../support/engines.ts";
import { describeFacts } from "../../support/facts-contract.ts";

const { "in Redis": open } = await everyEngine(1);
if (!open) throw new Error("there must be an engine in Redis");

describeFacts("in Redis", open);
