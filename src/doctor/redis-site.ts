/** What can be wrong with the Sentinels or the cluster that the nodes find their Redis by. */
import { ErrorReply } from "@redis/client";
import { namedFault } from "../engine/redis/faults.ts";
import { loginOf, type SlotRange } from "../engine/redis/cluster-location.ts";
import {
  ask,
  type Asking,
  type ClusterLocation,
  type SentinelLocation,
} from "../engine/redis/location.ts";
import { askSentinel } from "../engine/redis/sentinel-location.ts";
import { fail, messageOf, ok, warn, type Finding } from "./finding.ts";

const slots = 16_384;
/** Of fewer, none can outvote another. */
const sentinelsMin = 3;

/** Whether each Sentinel answers, knows the name, and names the same master as the others. */
export async function checkSentinels(
  location: SentinelLocation,
  asking: Asking,
): Promise<Finding[]> {
  const name = new URL(location.url).hostname;
  const masters = new Set<string>();
  const findings = await Promise.all(
    location.sentinels.map(async (sentinel) => {
      try {
        const { host } = new URL(await askSentinel(location, sentinel, asking));
        masters.add(host);
        return ok(`the Sentinel ${sentinel} answers: ${name} is at ${host}`);
      } catch (error) {
        const message = messageOf(error);
        if (/know no master/.test(message))
          return fail(`the Sentinel ${sentinel} knows no master named ${name}`, cureOf(message));
        return error instanceof ErrorReply
          ? fail(`the Sentinel ${sentinel} refuses: ${message}`, "check REDIS_SENTINEL_PASSWORD")
          : fail(
              `the Sentinel ${sentinel} does not answer: ${message}`,
              "check REDIS_SENTINELS, and that it runs and can be reached",
            );
      }
    }),
  );
  if (masters.size > 1)
    findings.push(
      fail(
        `the Sentinels name different masters: ${[...masters].join(", ")}`,
        "if this is no failover: see SENTINEL CKQUORUM, and whether they reach each other",
      ),
    );
  if (location.sentinels.length < sentinelsMin)
    findings.push(
      warn(
        `there are ${location.sentinels.length} Sentinels in REDIS_SENTINELS`,
        "run three at least, on machines of their own, and name all",
      ),
    );
  return findings;
}

/** Whether the cluster is in order, and what becomes of it when a master is lost. */
export async function checkCluster({ seeds }: ClusterLocation, asking: Asking): Promise<Finding[]> {
  const findings: Finding[] = [];
  const answers = await Promise.all(
    seeds.map(async (seed) => {
      const { host } = new URL(seed);
      try {
        const commands = [
          ["CLUSTER", "INFO"],
          ["CLUSTER", "SLOTS"],
        ];
        const [state, ranges] = await ask(asking, loginOf(seeds, seed), commands);
        return { host, state: String(state), ranges: ranges as SlotRange[] };
      } catch (error) {
        const message = messageOf(error);
        findings.push(fail(`the node ${host} of the cluster: ${message}`, cureOf(message)));
        return undefined;
      }
    }),
  );
  for (const { host, state } of answers.filter((answer) => answer !== undefined))
    if (!state.includes("cluster_state:ok"))
      findings.push(
        fail(
          `the cluster is not in order, says ${host}: ${/cluster_state:\w+/.exec(state)?.[0]}`,
          "see CLUSTER INFO and CLUSTER NODES; redis-cli --cluster check names what is missing",
        ),
      );
  const answer = answers.find((one) => one !== undefined);
  if (!answer) return findings;
  const covered = answer.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (covered < slots)
    findings.push(
      fail(
        `${slots - covered} slots of the cluster have no master: parts of the lobby in them can't be used, nor, with cluster-require-full-coverage yes, any other`,
        "redis-cli --cluster fix gives them to the masters that live",
      ),
    );
  const lonely = answer.ranges.filter(([, , , replica]) => replica === undefined);
  if (lonely.length > 0)
    findings.push(
      warn(
        "masters of the cluster have no replica: if one fails its part of the lobby is unavailable, and by default all are",
        "give each a replica; cluster-require-full-coverage no confines the damage to its part",
      ),
    );
  if (findings.length === 0) findings.push(ok("the cluster is in order, and has all its slots"));
  return findings;
}

const cureOf = (message: string) =>
  namedFault(message)?.cure ?? "check REDIS_URL, and that it runs and can be reached";
