/** Creates metrics whose labels have a bounded number of values: an unknown value is counted as `other`. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What a label shows in place of a value that it does not know. */
const other = "other";

/** Shows one of these values, or `other`. */
export function bounded(values: readonly string[]): (value: string) => string {
  const known = new Set(values);
  return (value) => (known.has(value) ? value : other);
}

/** Counts one, or more, of this value. */
export type Count<Value extends string> = (value: Value, by?: number) => void;

export class MetricMakers {
  readonly #registers: Registry[];

  constructor(registry: Registry) {
    this.#registers = [registry];
  }

  /** A counter without labels. */
  total(name: string, help: string): (by?: number) => void {
    const counter = new Counter({ name, help, registers: this.#registers });
    return (by = 1) => counter.inc(by);
  }

  /** A counter with one label. A series of each value exists from the start, so that its first increase can be seen. */
  totalBy<Value extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly Value[],
  ): Count<Value> {
    const counter = new Counter({ name, help, labelNames: [label], registers: this.#registers });
    const shown = bounded(values);
    for (const value of values) counter.inc({ [label]: value }, 0);
    return (value, by = 1) => counter.inc({ [label]: shown(value) }, by);
  }

  /**
   * A counter of what happens so often that looking up the label would cost more than counting it: whoever counts adds to a property of
   * what is returned, which is transferred at each scrape.
   */
  totalsOf<Value extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly Value[],
  ): Record<Value, number> {
    const counts = Object.fromEntries(values.map((value) => [value, 0])) as Record<Value, number>;
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const value of values) this.inc({ [label]: value }, counts[value]);
      },
    });
    return counts;
  }

  /** A counter with several labels, which the caller bounds; or one that is read at each scrape. */
  counter(
    name: string,
    help: string,
    labelNames: string[],
    collect?: (counter: Counter) => void,
  ): Counter {
    return new Counter({
      name,
      help,
      labelNames,
      registers: this.#registers,
      ...collectedBy(collect),
    });
  }

  /** A gauge that is read at each scrape; without a value it has no series then. */
  reading(name: string, help: string, read: () => number | undefined): void {
    new Gauge({
      name,
      help,
      registers: this.#registers,
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  /** @param collect sets it, at each scrape. */
  gauge(name: string, help: string, labelNames: string[], collect?: (gauge: Gauge) => void): Gauge {
    return new Gauge({
      name,
      help,
      labelNames,
      registers: this.#registers,
      ...collectedBy(collect),
    });
  }

  /** @param buckets their upper bounds in seconds. */
  seconds(name: string, help: string, labelNames: string[], buckets: number[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets, registers: this.#registers });
  }
}

/** prom-client calls `collect` at each scrape, as a method of the metric. */
function collectedBy<Metric>(collect: ((metric: Metric) => void) | undefined) {
  if (!collect) return {};
  return {
    collect(this: Metric) {
      collect(this);
    },
  };
}
