/** Checks the declaration of facts. */
import { readFactsFile } from "../facts-config.ts";
import { fail, ok, type Finding } from "./finding.ts";

/** Whether the file of `FACTS_FILE` can be read, and declares what it should. */
export function checkFacts(factsFile: string | undefined): Finding[] {
  if (factsFile === undefined) return [];
  const { facts, problems } = readFactsFile(factsFile);
  if (problems)
    return problems.map((problem) =>
      fail(`FACTS_FILE: ${problem}`, "src/app/README.md describes the file"),
    );
  return [ok(`FACTS_FILE declares facts: ${Object.keys(facts).join(", ") || "none"}`)];
}
