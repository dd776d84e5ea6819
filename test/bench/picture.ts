/**
 * Draws what one or more runs of `compare.ts --json=<file>` found: `bun test/bench/picture.ts <file> … <picture.svg>`. Shorter is
 * better in every row; each row has a scale of its own.
 */
interface Row {
  title: string;
  /** The beginning of the figure's name. */
  figure: string;
  unit: string;
  digits: number;
}

const rows: Row[] = [
  {
    title:
      "CPU per signal: candidates of 150 bytes, senders spread over the rooms, frames of the browser client",
    figure: "µs of CPU per signal: candidate, spread",
    unit: "µs",
    digits: 0,
  },
  {
    title: "CPU per signal: five candidates at a time",
    figure: "µs of CPU per signal: candidate, bursts",
    unit: "µs",
    digits: 0,
  },
  {
    title: "CPU per signal: SDP of 6 KB, spread",
    figure: "µs of CPU per signal: SDP",
    unit: "µs",
    digits: 0,
  },
  { title: "CPU per pair, both told", figure: "µs of CPU per pair", unit: "µs", digits: 0 },
  {
    title: "CPU per new peer, until its first event",
    figure: "µs of CPU per new",
    unit: "µs",
    digits: 0,
  },
  {
    title: "Memory per idle peer of 10,000",
    figure: "KiB per idle peer that pings, 10000",
    unit: "KiB",
    digits: 1,
  },
];
/** The longest bar, in pixels. */
const barMax = 380;
const left = 310;
const lineHeight = 20;
/** This server; relays that check and keep nothing; the others. */
const colors = { own: "#1a7f5a", bare: "#c4c8cc", other: "#6f8fc9" };
/** Left out, as the picture would be too long: forms of those shown that do less, and tRPC's own server. */
const leftOut = /fire and forget|plain frames|stock/;

const colorOf = (name: string) =>
  name === "Peer Stream" ? colors.own : name.startsWith("bare ") ? colors.bare : colors.other;

const files = process.argv.slice(2);
const target = files.pop();
if (files.length === 0 || target === undefined)
  throw new Error("name the files with the figures, and the picture to draw");
type Figures = Record<string, Record<string, number>>;
const figures: Figures = {};
for (const file of files)
  Object.assign(figures, ((await Bun.file(file).json()) as { figures: Figures }).figures);

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const text = (x: number, y: number, content: string, more = "") =>
  `<text x="${x}" y="${y}"${more}>${escape(content)}</text>`;

let y = 28;
const parts: string[] = [];
for (const { title, figure, unit, digits } of rows) {
  const [, values = {}] = Object.entries(figures).find(([name]) => name.startsWith(figure)) ?? [];
  const shown = Object.entries(values)
    .filter(([name]) => !leftOut.test(name))
    .sort(([, one], [, other]) => one - other);
  const longest = Math.max(0, ...shown.map(([, value]) => value));
  if (longest === 0) continue;
  parts.push(text(12, y, title, ' font-weight="bold"'));
  for (const [name, value] of shown) {
    y += lineHeight;
    const width = Math.max(1, Math.round((value / longest) * barMax));
    parts.push(
      text(left - 8, y, name, ' text-anchor="end"'),
      `<rect x="${left}" y="${y - 12}" width="${width}" height="14" fill="${colorOf(name)}"/>`,
      text(left + width + 6, y, `${value.toFixed(digits)} ${unit}`),
    );
  }
  y += 2 * lineHeight;
}
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="790" height="${y}" font-family="sans-serif" font-size="12">
<rect width="790" height="${y}" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
await Bun.write(target, svg);
