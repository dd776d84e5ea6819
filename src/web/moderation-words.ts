/** What the page says of reports, warnings and suspensions. */
import type { PeerStreamError, PeerStreamEvent } from "../client/state.ts";
import type { QuotedMessage, SanctionReason } from "../protocol.ts";

type Rejected = Extract<PeerStreamError, { kind: "rejected" }>;
type Warning = Extract<PeerStreamEvent, { type: "warning" }>;

/** What somebody was reported for, within a sentence. */
const reported: Record<Exclude<SanctionReason, "operator">, string> = {
  nudity: "nudity or sexual content",
  harassment: "harassment or threats",
  hate: "hate speech",
  minor: "seeming underage",
  spam: "spam, advertising or a recording",
  other: "another reason",
};

/** The chat log's lines about a report. */
export const reportedWords = {
  sent: "Your report was sent. Thank you.",
  overtaken: "You have met somebody else before the report was sent. Nobody was reported.",
};

/** A message in the preview of what a report quotes. */
export function quotedWords({ from, text }: QuotedMessage): string {
  return `${from === "me" ? "You" : "Stranger"}: ${text}`;
}

/** The dialog that a peer who was reported sees once. */
export function warningWords({ because, caseId }: Warning): string {
  const cause =
    because === "operator"
      ? "A moderator warned you."
      : `You were reported for ${reported[because]}.`;
  const rest = "If this goes on, you will be suspended and cannot meet anybody for a while.";
  return [cause, rest, ...caseWords(caseId)].join(" ");
}

/** Why somebody is suspended, until when, and where to object, unless that is a link. */
export function suspensionWords({ because, until, caseId, appeal }: Rejected): string {
  const cause =
    because === undefined
      ? "Several people reported you, or a moderator suspended you."
      : because === "operator"
        ? "A moderator suspended you."
        : `You were reported for ${reported[because]}.`;
  const end = until === undefined ? "for now" : `until ${timeWords(until)}`;
  const objection =
    appeal === undefined || appealLink(appeal)
      ? []
      : [`If you think that this is wrong: ${appeal}`];
  return [
    cause,
    `You will not be matched with anyone ${end}.`,
    ...caseWords(caseId),
    ...objection,
  ].join(" ");
}

/** The link to object to a suspension; undefined if what the operator says about that is not a web address. */
export function appealLink(appeal: string | undefined): string | undefined {
  return appeal !== undefined && /^https?:\/\/\S+$/i.test(appeal) && URL.canParse(appeal)
    ? appeal
    : undefined;
}

function caseWords(caseId: string | undefined): string[] {
  return caseId === undefined ? [] : [`Your case is ${caseId}.`];
}

function timeWords(at: number): string {
  return new Date(at).toLocaleString("en");
}
