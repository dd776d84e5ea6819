/** Prometheus' text format, read for tests (https://prometheus.io/docs/instrumenting/exposition_formats/). */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface MetricText {
  /** By the name of the metric. */
  types: Map<string, string>;
  samples: Sample[];
  /** The sum of the samples of this name whose labels are these, whatever others they have; `undefined` without any. */
  value(name: string, labels?: Record<string, string>): number | undefined;
  /** The metric that a sample belongs to: that of a histogram has suffixes. */
  metricOf(sample: Sample): string;
  /** The samples of a metric, those of a histogram included. */
  seriesOf(metric: string): number;
}

export function readMetrics(text: string): MetricText {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const [, metric, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (metric && type) types.set(metric, type);
    if (line === "" || line.startsWith("#")) continue;
    const [, name, , labelled = "", value] = /^(\w+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`no sample: ${line}`);
    const labels = [...labelled.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(
      ([, label = "", of = ""]) => [label, of] as const,
    );
    samples.push({ name, labels: Object.fromEntries(labels), value: Number(value) });
  }
  const metricOf = ({ name }: Sample) =>
    types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
  return {
    types,
    samples,
    metricOf,
    value(name, labels = {}) {
      const of = samples.filter(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      );
      return of.length === 0 ? undefined : of.reduce((sum, { value }) => sum + value, 0);
    },
    seriesOf: (metric) => samples.filter((sample) => metricOf(sample) === metric).length,
  };
}
