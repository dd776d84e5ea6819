/** The report dialog. */
import type { ReportReason } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { reportWords } from "./words.ts";

/** In the order in which they are shown. */
const reasons = Object.keys(reportWords) as ReportReason[];

/** Binds the report dialog. */
export function createReportView(
  { report, reportOpen, reportReasons: list }: Elements,
  reported: (reason: ReportReason) => void,
): void {
  list.replaceChildren(
    ...reasons.map((reason) => {
      const button = document.createElement("button");
      button.type = "submit";
      button.value = reason;
      button.textContent = reportWords[reason];
      return button;
    }),
  );
  reportOpen.addEventListener("click", () => {
    report.returnValue = "";
    report.showModal();
  });
  report.addEventListener("click", ({ target }) => {
    if (target === report) report.close();
  });
  report.addEventListener("close", () => {
    const reason = reasons.find((one) => one === report.returnValue);
    if (reason) reported(reason);
  });
}
