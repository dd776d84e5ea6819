/** The two questions of the moderators' console before it does what can't be undone: whom to suspend until when, and whether to end a room. */
import { reportReasons, type ReportReason } from "../protocol.ts";
import { byId } from "./elements.ts";
import { kindWords, type Named, type Subject } from "./console-lists.ts";
import { en } from "./strings/en.ts";

export interface SuspensionAsked {
  subject: Subject;
  /** Epoch milliseconds. */
  until: number;
  because: ReportReason | "operator";
}

/** What a dialog does when it is confirmed. Resolves with why it could not be done, or `undefined`: then the dialog closes. */
type Confirmed<Asked> = (asked: Asked) => Promise<string | undefined>;

/** @param now epoch milliseconds, by the server's clock. */
export function createSuspendDialog(now: () => number, confirmed: Confirmed<SuspensionAsked>) {
  const dialog = byId("suspend", HTMLDialogElement);
  const form = byId("suspend-form", HTMLFormElement);
  const kind = byId("suspend-kind", HTMLSelectElement);
  const id = byId("suspend-id", HTMLInputElement);
  const idLabel = byId("suspend-id-label", HTMLLabelElement);
  const because = byId("suspend-because", HTMLSelectElement);
  const duration = byId("suspend-for", HTMLSelectElement);
  const untilField = byId("suspend-until-field", HTMLElement);
  const until = byId("suspend-until", HTMLInputElement);
  const error = byId("suspend-error", HTMLElement);
  let who: Named = {};

  because.append(
    new Option("An operator’s decision", "operator"),
    ...reportReasons.map((reason) => new Option(en.report.reasons[reason], reason)),
  );
  const showKind = () => {
    const chosen = kind.value as Subject["kind"];
    id.value = who[chosen] ?? "";
    idLabel.textContent =
      chosen === "address" ? "IP address, or its hash" : `${kindWords[chosen]}’s whole id`;
  };
  const showUntil = () => {
    untilField.hidden = duration.value !== "";
    until.required = duration.value === "";
  };
  kind.addEventListener("change", showKind);
  duration.addEventListener("change", showUntil);
  askBy(dialog, form, error, () =>
    confirmed({
      subject: { kind: kind.value as Subject["kind"], id: id.value.trim() },
      until:
        duration.value === ""
          ? new Date(until.value).getTime()
          : Math.round(now() + Number(duration.value)),
      because: because.value as ReportReason | "operator",
    }),
  );

  return (named: Named, reason?: ReportReason): void => {
    who = named;
    form.reset();
    kind.value = named.account === undefined ? "session" : "account";
    because.value = reason ?? "operator";
    error.textContent = "";
    showKind();
    showUntil();
    dialog.showModal();
  };
}

/** @param confirmed called with the id of the room. */
export function createEndDialog(confirmed: Confirmed<string>) {
  const dialog = byId("end", HTMLDialogElement);
  const room = byId("end-room", HTMLElement);
  const error = byId("end-error", HTMLElement);
  askBy(dialog, byId("end-form", HTMLFormElement), error, () => confirmed(room.textContent ?? ""));
  return (roomId: string): void => {
    room.textContent = roomId;
    error.textContent = "";
    dialog.showModal();
  };
}

/** Carries out what the form of a dialog asks for, once at a time. */
function askBy(
  dialog: HTMLDialogElement,
  form: HTMLFormElement,
  error: HTMLElement,
  act: () => Promise<string | undefined>,
): void {
  const confirm = form.querySelector<HTMLButtonElement>("[type=submit]");
  form.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!confirm || confirm.disabled) return;
    confirm.disabled = true;
    error.textContent = "";
    void act().then((problem) => {
      confirm.disabled = false;
      if (problem === undefined) return dialog.close();
      error.textContent = problem;
      confirm.focus();
    });
  });
}
