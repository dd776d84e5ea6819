/** What can be said of the dashboard and the alert rules without a Prometheus; `test/integration/dashboard.test.ts` has the rest. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { alertRules, dashboard, recordingRules } from "../../support/dashboard.ts";
import { root } from "../../support/root.ts";

const readme = await Bun.file(join(root, "src/observe/README.md")).text();
/** The first cells of the table under a heading. */
const firstCells = (heading: string) =>
  (readme.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2)
    .map((line) => line.split("|")[1]?.trim().replaceAll("`", ""));

describe("the dashboard", () => {
  test("names no data source but the one that is chosen", () => {
    const text = JSON.stringify(dashboard);
    const sources = [...text.matchAll(/"uid":"([^"]*)"/g)].map(([, uid]) => uid);
    expect(new Set(sources)).toEqual(new Set(["${datasource}", dashboard.uid]));
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ["datasource", "datasource"],
      ["node", "query"],
      ["lobby", "query"],
    ]);
    for (const panel of dashboard.panels) {
      if (panel.type === "row") continue;
      for (const { datasource } of [panel, ...panel.targets])
        expect([panel.title, datasource]).toEqual([
          panel.title,
          { type: "prometheus", uid: "${datasource}" },
        ]);
    }
  });

  test("says of each panel what it shows, and has no two in one place", () => {
    const taken = new Map<string, string>();
    for (const { title, description, type, gridPos } of dashboard.panels) {
      if (type !== "row") expect([title, (description ?? "").length > 20]).toEqual([title, true]);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.get(`${x},${y}`)]).toEqual([title, undefined]);
          taken.set(`${x},${y}`, title);
          expect(x).toBeLessThan(24);
        }
    }
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("has the rows that the document lists", () => {
    const rows = dashboard.panels.filter(({ type }) => type === "row");
    expect(firstCells("Dashboard")).toEqual(rows.map(({ title }) => title));
  });

  test("has all panels that the table of alerts names", () => {
    const table = readme.split("\n## Alerts\n")[1]?.split("\n## ")[0] ?? "";
    const named = [...table.matchAll(/"([A-Z][^"|]+)"/g)].map(([, title]) => title ?? "");
    expect(named.length).toBeGreaterThan(20);
    const titles = dashboard.panels.map(({ title }) => title);
    for (const name of named)
      expect([name, titles.some((title) => title.startsWith(name))]).toEqual([name, true]);
  });

  test("names no alert that there is not", () => {
    const alerts = new Set(alertRules.map(({ alert }) => alert));
    const named = JSON.stringify(dashboard).match(/PeerStream[A-Z]\w+/g) ?? [];
    expect(named.filter((name) => !alerts.has(name))).toEqual([]);
  });
});

describe("the alert rules", () => {
  test("are those of the document", () => {
    const alerts = alertRules.map(({ alert }) => alert);
    expect(firstCells("Alerts").sort()).toEqual(alerts.sort());
  });

  test("each have a case in which they fire", async () => {
    const cases = Bun.YAML.parse(
      await Bun.file(join(root, "test/support/alert-rules.yaml")).text(),
    ) as { tests: { alert_rule_test?: { alertname: string; exp_alerts: object[] }[] }[] };
    const fired = cases.tests.flatMap(({ alert_rule_test: checks = [] }) =>
      checks.flatMap(({ alertname, exp_alerts: alerts }) => (alerts.length > 0 ? [alertname] : [])),
    );
    expect([...new Set(fired)].sort()).toEqual(alertRules.map(({ alert }) => alert).sort());
  });

  test("each have a severity, what it means for a reader, and where to read on", () => {
    for (const { alert, labels, annotations } of alertRules) {
      expect([alert, labels.severity]).toEqual([
        alert,
        expect.stringMatching(/^(critical|warning)$/),
      ]);
      expect([alert, annotations]).toEqual([
        alert,
        { summary: expect.any(String), runbook_url: expect.stringMatching(/README\.md#alerts$/) },
      ]);
    }
  });

  test("record nothing that no alert uses", () => {
    const used = alertRules.map(({ expr }) => expr).join("\n");
    expect(
      recordingRules.map(({ record }) => record).filter((name) => !used.includes(name)),
    ).toEqual([]);
  });
});
