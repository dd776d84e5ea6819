/** The files for Grafana and Prometheus, read. */
import { join } from "node:path";
import { root } from "./root.ts";

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  datasource?: object;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string; datasource: object }[];
}

interface Dashboard {
  uid: string;
  panels: Panel[];
  annotations: { list: { name: string; expr: string }[] };
  templating: { list: { name: string; type: string; query: string | { query: string } }[] };
}

interface AlertRule {
  alert: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: Record<string, string>;
}

interface RecordingRule {
  record: string;
  expr: string;
}

export const dashboard = (await Bun.file(
  join(root, "src/observe/dashboard.json"),
).json()) as Dashboard;

/** The rules as they are in the file. */
export const rulesText = await Bun.file(join(root, "src/observe/alerts.yaml")).text();

const { groups } = Bun.YAML.parse(rulesText) as {
  groups: { rules: (AlertRule | RecordingRule)[] }[];
};
const rules = groups.flatMap((group) => group.rules);
export const alertRules = rules.filter((rule): rule is AlertRule => "alert" in rule);
export const recordingRules = rules.filter((rule): rule is RecordingRule => "record" in rule);
