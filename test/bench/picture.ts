/**
 * Draws what `compare.ts --json=<file>` found: `bun test/bench/picture.ts <file> <picture.svg>`. Shorter is
 * better in every row; each row has a scale of its own.
 */
interface Row {
  what: string;
  key: string;
  unit: string;
  digits: number;
}

const rows: Row[] = [
  { what: "CPU per signal, candidate of 150 bytes", key: "candidateCpuUs", unit: "µs", digits: 0 },
  { what: "CPU per signal, SDP of 6 KB", key: "sdpCpuUs", unit: "µs", digits: 0 },
  { what: "Memory per idle peer", key: "manyPeersKiB", unit: "KiB", digits: 1 },
  { what: "CPU per pair", key: "pairCpuUs", unit: "µs", digits: 0 },
];
/** The longest bar, in pixels. */
const barMax = 380;
const left = 250;
const lineHeight = 20;
const colors = ["#9aa0a6", "#1a7f5a", "#6f8fc9", "#d9a441", "#c66b5d"];

const [, , file, target] = process.argv;
if (file === undefined || target === undefined)
  throw new Error("name the file with the figures, and the picture to draw");
const { figures, plan } = (await Bun.file(file).json()) as {
  figures: Record<string, Record<string, number | undefined>>;
  plan: { peers: [few: number, many: number] };
};
const names = Object.keys(figures);

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const text = (x: number, y: number, content: string, more = "") =>
  `<text x="${x}" y="${y}"${more}>${escape(content)}</text>`;

let y = 28;
const parts: string[] = [];
for (const { what, key, unit, digits } of rows) {
  const values = names.map((name) => figures[name]?.[key]);
  const longest = Math.max(...values.map((value) => value ?? 0));
  if (longest === 0) continue;
  const title = key === "manyPeersKiB" ? `${what}, ${plan.peers[1]} of them` : what;
  parts.push(text(12, y, title, ' font-weight="bold"'));
  for (const [index, name] of names.entries()) {
    const value = values[index];
    if (value === undefined) continue;
    y += lineHeight;
    const width = Math.max(1, Math.round((value / longest) * barMax));
    parts.push(
      text(left - 8, y, name, ' text-anchor="end"'),
      `<rect x="${left}" y="${y - 12}" width="${width}" height="14" fill="${colors[index % colors.length]}"/>`,
      text(left + width + 6, y, `${value.toFixed(digits)} ${unit}`),
    );
  }
  y += 2 * lineHeight;
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${y}" font-family="sans-serif" font-size="12">
<rect width="720" height="${y}" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
await Bun.write(target, svg);
