import { everyEngine } from "../support/engines.ts";
import { describeEngine } from "./contract.ts";
import { describeProperties } from "./properties.ts";

/** A history takes a thousand round trips and more. */
const runs = Number(process.env["REDIS_HISTORIES"] ?? 150);

const { "in Redis": open } = await everyEngine(1);
if (!open) throw new Error("there must be an engine in Redis");

describeEngine("in Redis", open);
describeProperties("in Redis", open, runs);
