/** What the page says of warnings and suspensions, and of what a report quotes. */
import type { PeerStreamError, PeerStreamEvent } from "../client/state.ts";
import type { QuotedMessage } from "../protocol.ts";
import { fill, formatTime, type Language } from "./language.ts";

type Rejected = Extract<PeerStreamError, { kind: "rejected" }>;
type Warning = Extract<PeerStreamEvent, { type: "warning" }>;

/** A message in the preview of what a report quotes. */
export function quotedWords({ from, text }: QuotedMessage, { strings }: Language): string {
  const { page, report } = strings;
  return fill(report.quoted, { from: from === "me" ? page.you : page.stranger, text });
}

/** The dialog that a peer who was reported sees once. */
export function warningWords({ because, caseId }: Warning, language: Language): string {
  const { sanctions } = language.strings;
  const cause = because === "operator" ? sanctions.warnedByOperator : sanctions.reported[because];
  return [cause, sanctions.warning, ...caseWords(caseId, language)].join(" ");
}

/** Why somebody is suspended, until when, and where to object, unless that is a link. */
export function suspensionWords(
  { because, until, caseId, appeal }: Rejected,
  language: Language,
): string {
  const { sanctions } = language.strings;
  const cause =
    because === undefined
      ? sanctions.suspendedSomehow
      : because === "operator"
        ? sanctions.suspendedByOperator
        : sanctions.reported[because];
  const end =
    until === undefined
      ? sanctions.forNow
      : fill(sanctions.until, { time: formatTime(language, until) });
  const objection =
    appeal === undefined || appealLink(appeal) ? [] : [fill(sanctions.objection, { appeal })];
  return [cause, end, ...caseWords(caseId, language), ...objection].join(" ");
}

/** The link to object to a suspension; undefined if what the operator says about that is not a web address. */
export function appealLink(appeal: string | undefined): string | undefined {
  return appeal !== undefined && /^https?:\/\/\S+$/i.test(appeal) && URL.canParse(appeal)
    ? appeal
    : undefined;
}

function caseWords(caseId: string | undefined, { strings }: Language): string[] {
  return caseId === undefined ? [] : [fill(strings.sanctions.case, { id: caseId })];
}
