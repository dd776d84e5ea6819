/** What the phases have in common: rounds in turns, figures, and contestants that fail while the others go on. */
import { mkdirSync, rmSync } from "node:fs";
import { root } from "../support/root.ts";
import { buildFolder, type Contestant } from "./contestants.ts";
import { median, openStage, type Stage } from "./load.ts";

/** Figures by what they are of, then by contestant. */
type ByContestant<T> = Record<string, Record<string, T>>;

export class Trial {
  readonly isQuick: boolean;
  readonly isPinned: boolean;
  readonly figures: ByContestant<number> = {};
  /** What has to be known about a figure. */
  readonly remarks: ByContestant<string> = {};
  readonly failures: string[] = [];
  readonly #printsRounds: boolean;
  #contestants: readonly Contestant[];
  /** In the phase that runs; whoever failed has no figure of it. */
  readonly #failed = new Set<Contestant>();
  #phase = "";

  constructor(
    contestants: readonly Contestant[],
    options: { isQuick: boolean; isPinned: boolean; printsRounds: boolean },
  ) {
    this.#contestants = contestants;
    this.isQuick = options.isQuick;
    this.isPinned = options.isPinned;
    this.#printsRounds = options.printsRounds;
  }

  get contestants(): readonly Contestant[] {
    return this.#contestants.filter((one) => !this.#failed.has(one));
  }

  /** Makes the programs that are not there yet, and does without those for which there is no compiler. */
  build(): void {
    this.#contestants = this.#contestants.filter(({ name, build }) => {
      const [compiler] = build ?? [];
      if (build === undefined || compiler === undefined) return true;
      if (Bun.which(compiler) === null) {
        console.log(`${name} is left out: there is no ${compiler}`);
        return false;
      }
      mkdirSync(buildFolder, { recursive: true });
      const { success, stderr } = Bun.spawnSync(build, { cwd: root });
      if (!success) throw new Error(`${name} could not be built:\n${stderr.toString()}`);
      return true;
    });
  }

  [Symbol.dispose](): void {
    rmSync(buildFolder, { recursive: true, force: true });
  }

  begin(phase: string): void {
    console.log(`${phase} …`);
    this.#phase = phase;
    this.#failed.clear();
  }

  /** Does something for a contestant that may fail in it, which is told at once and again at the end. */
  async attempt(contestant: Contestant, work: () => Promise<void>): Promise<void> {
    if (this.#failed.has(contestant)) return;
    try {
      await work();
    } catch (error) {
      this.#failed.add(contestant);
      const failure = `${contestant.name} failed in ${this.#phase}: ${error instanceof Error ? error.message : String(error)}`;
      console.log(`  ${failure}`);
      this.failures.push(failure);
    }
  }

  /** Everybody of `contestants` on a server of its own, all at the same time. */
  async withStages(
    contestants: readonly Contestant[],
    work: (stages: readonly Stage[]) => Promise<void>,
    environmentOf: (contestant: Contestant) => Record<string, string> | undefined = () => ({}),
  ): Promise<void> {
    await using stack = new AsyncDisposableStack();
    const stages: Stage[] = [];
    for (const contestant of contestants)
      await this.attempt(contestant, async () => {
        const stage = await openStage(contestant, this.isPinned, environmentOf(contestant));
        stages.push(stack.use(stage));
      });
    await work(stages);
  }

  async forEach(stages: readonly Stage[], work: (stage: Stage) => Promise<void>): Promise<void> {
    for (const stage of stages) await this.attempt(stage.contestant, () => work(stage));
  }

  /**
   * Each stage once per round, in alternating order, so that none always runs after the same one. The first rounds are warm-ups:
   * until the runtime has compiled what runs often, in a thread of its own, the same code costs more.
   */
  async inTurns(
    { warmUps, rounds }: { warmUps: number; rounds: number },
    stages: readonly Stage[],
    turn: (stage: Stage, isWarmUp: boolean) => Promise<void>,
  ): Promise<void> {
    for (let n = -warmUps; n < rounds; n++)
      await this.forEach(n % 2 === 0 ? stages : stages.toReversed(), (stage) => {
        // The peers of the others would keep their servers at work meanwhile, on the same core.
        for (const { peers } of stages) for (const peer of peers) peer.stopPings();
        for (const peer of stage.peers) peer.startPings();
        return turn(stage, n < 0);
      });
  }

  note(what: string, { name }: Contestant, value: number): void {
    (this.figures[what] ??= {})[name] = value;
  }

  remark(what: string, { name }: Contestant, remark: string): void {
    (this.remarks[what] ??= {})[name] = remark;
  }

  /** The median of each that did not fail. */
  noteRounds(what: string, rounds: Rounds): void {
    for (const [contestant, values] of rounds.values) {
      if (this.#failed.has(contestant)) continue;
      this.note(what, contestant, median(values));
      if (this.#printsRounds)
        console.log(
          `  ${what}, ${contestant.name}: ${values.map((value) => value.toFixed(1)).join(" ")}`,
        );
    }
  }
}

/** The values of one figure. */
export class Rounds {
  readonly values = new Map<Contestant, number[]>();

  add(contestant: Contestant, value: number): void {
    const values = this.values.get(contestant) ?? [];
    values.push(value);
    this.values.set(contestant, values);
  }
}
