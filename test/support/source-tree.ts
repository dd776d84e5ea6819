/**
 * The tree of `src` as src/README.md shows it: each folder and file with the first sentence of its header comment.
 * `bun test/support/source-tree.ts` writes it there.
 */
import { Glob } from "bun";
import { join } from "node:path";
import { root } from "./root.ts";

const readme = join(root, "src/README.md");
const block = /(?<=\n## Files\n[\s\S]*?```\n)[\s\S]*?(?=```)/;
const descriptionChars = 110;

const blockComment = /^\/\*\*?([\s\S]*?)\*\//;
const lineComments = /^((?:(?:--|#).*\n)+)/;

/** The first sentence of the comment that a file begins with. */
function describe(text: string): string {
  const comment = (blockComment.exec(text) ?? lineComments.exec(text))?.[1] ?? "";
  const flat = comment.replace(/(^|\n)\s*(\*|--|#)? ?/g, " ").trim();
  const sentence = (/^.*?\.(?=\s|$)/.exec(flat)?.[0] ?? flat).replace(/\.$/, "");
  return sentence.length <= descriptionChars
    ? sentence
    : `${sentence.slice(0, descriptionChars).replace(/\s+\S*$/, "")} …`;
}

export async function sourceTree(): Promise<string> {
  const files = [...new Glob("**/*").scanSync(join(root, "src"))].sort();
  const lines: string[] = [];
  const shown = new Set<string>();
  // Files of a folder before its subfolders.
  const ordered = files.sort((a, b) => {
    const [folderA, folderB] = [a, b].map((file) => file.split("/").slice(0, -1).join("/"));
    return folderA === folderB ? (a < b ? -1 : 1) : (folderA ?? "") < (folderB ?? "") ? -1 : 1;
  });
  for (const file of ordered) {
    const folders = file.split("/").slice(0, -1);
    for (const [depth] of folders.entries()) {
      const folder = folders.slice(0, depth + 1).join("/");
      if (!shown.has(folder)) lines.push(`${"  ".repeat(depth)}${folders[depth]}/`);
      shown.add(folder);
    }
    const name = `${"  ".repeat(folders.length)}${file.split("/").at(-1)}`;
    const isText = /\.(ts|lua|css|html|yaml|service)$/.test(file);
    const description = isText ? describe(await Bun.file(join(root, "src", file)).text()) : "";
    lines.push(description === "" ? name : `${name.padEnd(30)}  ${description}`);
  }
  return `${lines.join("\n")}\n`;
}

/** What src/README.md shows. */
export async function documentedTree(): Promise<string> {
  return block.exec(await Bun.file(readme).text())?.[0] ?? "";
}

if (import.meta.main) {
  const tree = await sourceTree();
  const text = await Bun.file(readme).text();
  await Bun.write(
    readme,
    text.replace(block, () => tree),
  );
}
