/** The report dialog: a note and, if the user agrees, a still of the partner's picture and the last messages; then the reason, which sends it. */
import type { ReportDetails } from "../client/types.ts";
import { reportReasons, type QuotedMessage, type ReportReason } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { quotedWords } from "./moderation-words.ts";

/** The report dialog. */
export interface ReportView {
  /** Closes the dialog without a report: it was opened about a partner who is no longer the last one. Returns whether it was open. */
  close(): boolean;
}

/** Where the evidence comes from, and where a report goes. */
export interface ReportActions {
  /** Undefined without a picture. */
  still(): Promise<string | undefined>;
  messages(): QuotedMessage[];
  report(reason: ReportReason, details: ReportDetails): void;
}

/** Binds the report dialog. Still and messages are those of the moment in which it is opened; neither is sent unless its box is checked. */
export function createReportView(
  elements: Elements,
  language: LanguageChoice,
  actions: ReportActions,
): ReportView {
  const { report, reportOpen, reportNote } = elements;
  const { reportStill, reportStillCheck, reportPicture } = elements;
  const { reportMessages, reportMessagesCheck, reportMessagesList } = elements;
  let still: string | undefined;
  let messages: QuotedMessage[] = [];
  /** Counts how often it was opened: a still that is ready too late belongs to an earlier time. */
  let opened = 0;

  async function showStill(): Promise<void> {
    const time = ++opened;
    still = undefined;
    reportStill.hidden = true;
    const taken = await actions.still();
    const picture = taken && (await decode(taken));
    if (!picture || time !== opened) return;
    reportPicture.width = picture.width;
    reportPicture.height = picture.height;
    reportPicture.getContext("2d")?.drawImage(picture, 0, 0);
    still = taken;
    reportStill.hidden = false;
  }

  function showMessages(): void {
    messages = actions.messages();
    reportMessages.hidden = messages.length === 0;
    reportMessagesList.replaceChildren(
      ...messages.map((message) => {
        const item = document.createElement("li");
        item.textContent = quotedWords(message, language.current);
        return item;
      }),
    );
  }

  reportOpen.addEventListener("click", () => {
    report.returnValue = "";
    reportNote.value = "";
    reportStillCheck.checked = false;
    reportMessagesCheck.checked = false;
    showMessages();
    void showStill();
    report.showModal();
  });
  report.addEventListener("click", ({ target }) => {
    if (target === report) report.close();
  });
  report.addEventListener("close", () => {
    opened += 1;
    const reason = reportReasons.find((one) => one === report.returnValue);
    if (!reason) return;
    const note = reportNote.value.trim();
    const evidence = {
      ...(reportStillCheck.checked && still !== undefined && { still }),
      ...(reportMessagesCheck.checked && messages.length > 0 && { messages }),
    };
    actions.report(reason, {
      ...(note !== "" && { note }),
      ...(Object.keys(evidence).length > 0 && { evidence }),
    });
  });

  return {
    close() {
      const { open } = report;
      if (open) report.close("");
      return open;
    },
  };
}

/** Not an image element, as the page's Content-Security-Policy allows images of its own origin only. */
function decode(still: string): Promise<ImageBitmap | undefined> {
  const bytes = Uint8Array.from(atob(still), (character) => character.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/jpeg" })).catch(() => undefined);
}
