/**
 * Whether relaying for long leaves anything behind: `bun test/bench/soak.ts [minutes]` (Linux; default 10). Prints
 * the server's resident memory each minute, and fails when after the last it is over a tenth above the first's.
 */
import { ours } from "./contestants.ts";
import { openStage, pairAll, pinLoad, relay, rssOf } from "./load.ts";

const minutes = Number(process.argv[2] ?? 10);
const perS = 3000;
const rooms = 100;
const growthMax = 1.1;

await using stage = await openStage(ours, pinLoad());
await stage.connect(2 * rooms);
await pairAll(stage);
const mib: number[] = [];
for (let minute = 1; minute <= minutes; minute++) {
  // A minute at a time, so that the load forgets its numbers too.
  const { signals } = await relay(stage, "candidate", perS, 60);
  mib.push(rssOf(stage.process.pid) / 2 ** 20);
  console.log(`minute ${minute}: ${signals} signals relayed, ${mib.at(-1)?.toFixed(1)} MiB`);
}
const growth = (mib.at(-1) ?? Number.NaN) / (mib[0] ?? Number.NaN);
console.log(`after the last minute ${growth.toFixed(2)} times what it was after the first`);
process.exitCode = growth <= growthMax ? 0 : 1;
