/** What the moderators' console lists: counts, sessions, reports and suspensions, as elements. */
import { modes, type Mode, type ReportReason, type Stats } from "../protocol.ts";
import type { Outputs } from "./console-api.ts";
import { en } from "./strings/en.ts";

/** Entries of a list that are shown until the others are asked for. */
export const shownAtFirst = 20;

type Overview = Outputs["overview"];
export type Report = Outputs["reports"]["reports"][number];
export type FoundSession = Outputs["find"]["sessions"][number];
export type Suspension = Outputs["list"]["suspensions"][number] & { because?: string };
export type Subject = Suspension["subject"];

/** Ids of the same person, by kind. */
export type Named = Partial<Record<Subject["kind"], string>>;

/** What can be done about what is listed. */
export interface ConsoleActions {
  suspend(who: Named, because?: ReportReason): void;
  lift(subject: Subject): void;
  endRoom(roomId: string): void;
}

export function totalsOf({ all }: Overview): HTMLElement[] {
  const entries = { online: all.online, waiting: sum(all.waiting), rooms: sum(all.rooms) };
  return Object.entries(entries).map(([name, count]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, String(count))),
  );
}

export function lobbyRows({ lobbies }: Overview): HTMLElement[] {
  const cell = (counts: Stats["waiting"]) =>
    element("td", {}, String(sum(counts)), element("small", {}, byMode(counts)));
  return lobbies.map(({ name, online, waiting, rooms }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", {}, String(online)),
      cell(waiting),
      cell(rooms),
    ),
  );
}

const sum = (counts: Record<Mode, number>) => modes.reduce((all, mode) => all + counts[mode], 0);

const byMode = (counts: Record<Mode, number>) =>
  modes.flatMap((mode) => (counts[mode] > 0 ? [`${counts[mode]} ${mode}`] : [])).join(", ");

export function nodeWords({
  node: { name, version, draining, uptimeMs },
  nodes = [],
}: Pick<Overview, "node" | "nodes">): string {
  const minutes = Math.floor(uptimeMs / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  const up = days > 0 ? `${days} d ${hours} h` : `${hours} h ${minutes % 60} min`;
  const own = `${name} · version ${version} · up ${up}${draining ? " · shutting down" : ""}`;
  if (nodes.length < 2) return own;
  const peers = nodes.map((one) => `${one.name} ${one.peers}${one.draining ? " (leaving)" : ""}`);
  return `${own} · peers by node: ${peers.join(", ")}`;
}

export function foundItem(session: FoundSession, actions: ConsoleActions): HTMLElement {
  const { id, account, status, roomId, lobby } = session;
  const what = element("div", { class: "what" }, element("code", {}, id));
  if (account !== undefined) what.append(line("Account ", element("code", {}, account)));
  what.append(line(`${statusWords[status]} · lobby ${lobby}`));
  if (roomId !== undefined) what.append(line("Room ", element("code", {}, roomId)));
  const ways = [
    button("Suspend…", `session ${id}`, () =>
      actions.suspend({ session: id, ...(account !== undefined && { account }) }),
    ),
  ];
  if (roomId !== undefined)
    ways.push(button("End room…", `of session ${id}`, () => actions.endRoom(roomId)));
  return item(what, ways);
}

const statusWords: Record<FoundSession["status"], string> = {
  idle: "Idle",
  waiting: "Waiting",
  paired: "In a room",
};

/** @param evidenceUrl with `{caseId}` in place of a case's id; without it there is no link. */
export function reportItem(
  report: Report,
  evidenceUrl: string | undefined,
  actions: ConsoleActions,
): HTMLElement {
  const { at, reason, counted, reported, roomId, caseId } = report;
  const { sessionId, account, addressHash } = reported;
  const what = element(
    "div",
    { class: "what" },
    element("strong", {}, en.report.reasons[reason]),
    " ",
    element("span", { class: "tag" }, counted ? "a vote" : "no vote"),
    line("Session ", element("code", {}, sessionId)),
  );
  if (account !== undefined) what.append(line("Account ", element("code", {}, account)));
  what.append(line("Room ", element("code", {}, roomId)));
  if (caseId !== undefined) what.append(line("Case ", element("code", {}, caseId)));
  what.append(line(timeElement(at)));
  const who: Named = {
    session: sessionId,
    ...(account !== undefined && { account }),
    ...(addressHash !== undefined && { address: addressHash }),
  };
  if (evidenceUrl !== undefined && caseId !== undefined)
    what.append(evidenceLink(evidenceUrl.replace("{caseId}", encodeURIComponent(caseId)), caseId));
  return item(what, [
    button("Suspend…", `session ${sessionId} of room ${roomId}`, () =>
      actions.suspend(who, reason),
    ),
  ]);
}

const evidenceLink = (href: string, caseId: string) =>
  element(
    "a",
    { href, target: "_blank", rel: "noopener noreferrer", "aria-label": `Evidence of ${caseId}` },
    "Evidence",
  );

export function suspensionItem(suspension: Suspension, actions: ConsoleActions): HTMLElement {
  const { subject, since, until, by, because } = suspension;
  const what = element(
    "div",
    { class: "what" },
    element("strong", {}, kindWords[subject.kind]),
    " ",
    element("code", {}, subject.id),
    line(`By ${by === "operator" ? "an operator" : "reports"}${becauseOf(because)}`),
    line("From ", timeElement(since), " until ", timeElement(until)),
  );
  const lift = button("Lift", `${subject.kind} ${subject.id}`, () => actions.lift(subject));
  return item(what, [lift]);
}

export const kindWords: Record<Subject["kind"], string> = {
  account: "Account",
  session: "Session",
  address: "Address",
};

const becauseOf = (because: string | undefined) =>
  because === undefined || because === "operator"
    ? ""
    : `, because of: ${en.report.reasons[because as ReportReason] ?? because}`;

/** A moment in the moderator's own time, and in ISO 8601 for who hovers it. */
function timeElement(at: number): HTMLElement {
  const date = new Date(at);
  const iso = date.toISOString();
  return element("time", { datetime: iso, title: iso }, timeWords(at));
}

export const timeWords = (at: number): string =>
  new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

const line = (...content: (Node | string)[]) => element("div", { class: "soft" }, ...content);

const item = (what: HTMLElement, ways: HTMLElement[]) =>
  element("li", {}, what, element("div", { class: "ways" }, ...ways));

/** @param what it is about: read out after the label, and the same each time that the same thing is listed. */
function button(label: string, what: string, act: () => void): HTMLElement {
  const about = element("span", { class: "unseen" }, ` ${what}`);
  const made = element("button", { type: "button", "data-key": `${label} ${what}` }, label, about);
  made.addEventListener("click", act);
  return made;
}

function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  ...content: (Node | string)[]
): HTMLElement {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}
