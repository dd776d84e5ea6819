/**
 * What Prometheus' clients tell of every process, under their usual names. Not by prom-client's `collectDefaultMetrics`: on Bun the sizes
 * of the heap and of virtual memory that it gives are those that are reserved, the delays of the event loop are none, and it can't be
 * asked for the rest alone.
 */
import { processReadings } from "../system.ts";
import type { MetricMakers } from "./metric-makers.ts";

export function createProcessMetrics(make: MetricMakers): void {
  const readings = processReadings();
  make.gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    [],
    (gauge) => gauge.set(readings.startedAtS),
  );
  make.reading("process_resident_memory_bytes", "Resident memory size in bytes.", () =>
    readings.residentBytes(),
  );
  make.reading("process_open_fds", "Number of open file descriptors.", () => readings.openFiles());
  make.reading(
    "process_max_fds",
    "Maximum number of open file descriptors.",
    () => readings.openFilesMax,
  );
  let cpuS = 0;
  make.counter(
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    [],
    (counter) => {
      const now = readings.cpuS();
      counter.inc(now - cpuS);
      cpuS = now;
    },
  );
}
