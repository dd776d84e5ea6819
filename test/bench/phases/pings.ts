/** What keeping idle connections alive costs, per ping, and per minute at the interval of each. */
import { cpuUsOf, openStage, type Stage } from "../load.ts";
import { Rounds, type Trial } from "../trial.ts";

/** How often each peer pings or is pinged here (milliseconds). */
const everyMs = 1000;

/** All peers ping in turn, evenly over each interval. Returns how many pings were sent. */
async function pingFromClients({ peers }: Stage, text: string, seconds: number): Promise<number> {
  const total = peers.length * seconds;
  const startedAt = performance.now();
  for (let n = 0; n < total; await Bun.sleep(1)) {
    const passed = (performance.now() - startedAt) / everyMs;
    const due = Math.min(total, Math.ceil(passed * peers.length));
    for (; n < due; n++) peers[n % peers.length]?.send(text);
  }
  return total;
}

/**
 * Connects peers one after the other over several intervals, so that the pings of a server, whose timers begin then, are
 * spread over the interval as those of strangers are. In bunches they would cost less.
 */
async function connectSpread(stage: Stage, count: number): Promise<void> {
  const startedAt = performance.now();
  const connecting: Promise<void>[] = [];
  for (let n = 0; n < count; n++) {
    while (performance.now() - startedAt < (n / count) * 4 * everyMs) await Bun.sleep(1);
    connecting.push(stage.connect(1));
  }
  await Promise.all(connecting);
}

/** Returns the µs of CPU that each ping cost. */
async function measure(stage: Stage, seconds: number): Promise<number> {
  const { peers } = stage;
  const { ping } = stage.contestant.dialect;
  if (!ping) throw new Error("nobody pings");
  for (const peer of peers) peer.stopPings();
  const answered = Promise.withResolvers<void>();
  let heard = 0;
  let sent = Number.POSITIVE_INFINITY;
  const isDone = () => heard >= sent && answered.resolve();
  for (const peer of peers)
    peer.tally = {
      ...peer.tally,
      ping() {
        heard += 1;
        isDone();
      },
    };
  const before = cpuUsOf(stage.process.pid);
  if (ping.from === "server") await Bun.sleep(seconds * 1000);
  else {
    sent = await pingFromClients(stage, ping.text, seconds);
    isDone();
    if (ping.isAnswered)
      await stage.within(answered.promise, () => `${heard} of ${sent} pings were answered`);
    else await Bun.sleep(100);
  }
  const count = ping.from === "client" ? sent : heard;
  const us = (cpuUsOf(stage.process.pid) - before) / count;
  for (const peer of peers) peer.startPings();
  if (count < 0.8 * peers.length * seconds) throw new Error(`only ${count} pings came`);
  return us;
}

export async function pings(trial: Trial): Promise<void> {
  const plan = trial.isQuick
    ? { rounds: 1, peers: 500, seconds: 4 }
    : { rounds: 5, peers: 2000, seconds: 6 };
  const what = "µs of CPU per idle peer and minute, for pings at the interval of each";
  const [each, perMinute] = [new Rounds(), new Rounds()];
  // One after the other: a server that pings would disturb the rounds of all.
  for (const contestant of trial.contestants) {
    const { ping } = contestant.dialect;
    if (!ping) continue;
    await trial.attempt(contestant, async () => {
      const often = contestant.pingingEvery?.(everyMs) ?? {};
      await using stage = await openStage(contestant, trial.isPinned, often);
      await connectSpread(stage, plan.peers);
      for (let round = -1; round < plan.rounds; round++) {
        const us = await measure(stage, plan.seconds);
        if (round < 0) continue;
        each.add(contestant, us);
        perMinute.add(contestant, (us * 60_000) / ping.everyMs);
      }
      trial.remark(what, contestant, `every ${ping.everyMs / 1000} s`);
    });
  }
  trial.noteRounds("µs of CPU per ping", each);
  trial.noteRounds(what, perMinute);
}
