/** The moderators' console: signs in, shows what is happening, and sends the moderator's decisions to the server. */
import type { ReportReason } from "../protocol.ts";
import { ConsoleApi, Refused, type Overall } from "./console-api.ts";
import { createEndDialog, createSuspendDialog } from "./console-dialogs.ts";
import {
  foundItem,
  kindWords,
  lobbyRows,
  nodeWords,
  reportItem,
  shownAtFirst,
  suspensionItem,
  timeWords,
  totalsOf,
  type ConsoleActions,
  type Named,
  type Subject,
} from "./console-lists.ts";
import { byId } from "./elements.ts";

/** What is shown is brought up to date after this (milliseconds). */
const refreshMs = 5000;
/** What was done stays in view for so long (milliseconds). */
const saidMs = 20_000;
const tokenKey = "peer-stream.operator-token";

class Console implements ConsoleActions {
  readonly #api = new ConsoleApi(location.href);
  readonly #said = byId("said", HTMLElement);
  readonly #signIn = byId("sign-in", HTMLFormElement);
  readonly #token = byId("token", HTMLInputElement);
  readonly #refused = byId("refused", HTMLElement);
  readonly #console = byId("console", HTMLElement);
  readonly #letters = byId("letters", HTMLInputElement);
  readonly #askSuspend = createSuspendDialog(
    () => this.#overall?.overview.at ?? 0,
    ({ subject, until, because }) =>
      this.#attempt(async () => {
        await this.#api.mutate("suspend", { subject, until, because });
        this.#say(
          `${kindWords[subject.kind]} ${subject.id} is suspended until ${timeWords(until)}.`,
        );
      }),
  );
  readonly #askEnd = createEndDialog((roomId) =>
    this.#attempt(async () => {
      const { ended } = await this.#api.mutate("endRoom", { roomId });
      this.#say(ended ? "The room has ended." : "There is no such room any more.");
    }),
  );
  #overall: Overall | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** What each list was last made of: it is made anew only if that changes. */
  readonly #shown = new Map<string, string>();
  readonly #isWhole = { reports: false, suspensions: false };

  constructor() {
    this.#api.token = readToken();
    this.#signIn.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#api.token = this.#token.value.trim();
      void this.#open();
    });
    byId("sign-out", HTMLButtonElement).addEventListener("click", () => this.#leave());
    byId("try-again", HTMLButtonElement).addEventListener("click", () => void this.#open());
    byId("suspend-other", HTMLButtonElement).addEventListener("click", () => this.suspend({}));
    byId("find", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#find();
    });
    for (const list of ["reports", "suspensions"] as const)
      byId(`more-${list}`, HTMLButtonElement).addEventListener("click", () => {
        this.#isWhole[list] = true;
        this.#show();
        byId(`${list}-title`, HTMLElement).focus();
      });
    setInterval(() => void this.#refresh(), refreshMs);
    document.addEventListener("visibilitychange", () => void this.#refresh());
    void this.#open();
  }

  // -------------------------------------------------------------------------------------------
  // Access

  async #open(): Promise<void> {
    try {
      this.#overall = await this.#api.overall();
    } catch (error) {
      return this.#refuse(error);
    }
    keepToken(this.#api.token);
    this.#token.value = "";
    const isFirst = this.#console.hidden;
    this.#signIn.hidden = true;
    this.#refused.hidden = true;
    this.#console.hidden = false;
    byId("sign-out", HTMLButtonElement).hidden = this.#api.token === "";
    this.#show();
    if (isFirst && document.activeElement === document.body) this.#letters.focus();
  }

  /** Asks for a token where one would help; else says why there is no access. */
  #refuse(error: unknown): void {
    if (!(error instanceof Refused)) throw error;
    const hadToken = this.#api.token !== "";
    const asksForToken = error.needsToken || (hadToken && error.fields.reason === "rate-limited");
    this.#console.hidden = true;
    byId("node", HTMLElement).textContent = "";
    byId("sign-out", HTMLButtonElement).hidden = true;
    this.#signIn.hidden = !asksForToken;
    this.#refused.hidden = asksForToken;
    if (!asksForToken) {
      byId("refused-text", HTMLElement).textContent = error.message;
      return;
    }
    const wrong = error.needsToken ? "This token is wrong." : error.message;
    byId("sign-in-error", HTMLElement).textContent = hadToken ? wrong : "";
    this.#api.token = "";
    keepToken("");
    this.#token.select();
    this.#token.focus();
  }

  #leave(): void {
    this.#api.token = "";
    keepToken("");
    // Nothing of what was shown stays in the page.
    location.reload();
  }

  // -------------------------------------------------------------------------------------------
  // What is shown

  async #refresh(): Promise<void> {
    // Whoever is asked something must not lose what it is about.
    if (this.#console.hidden || document.hidden || document.querySelector("dialog[open]")) return;
    try {
      this.#overall = await this.#api.overall();
      this.#show();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.fields.reason === "unauthorized") this.#refuse(error);
      else byId("node", HTMLElement).textContent = error.message;
    }
  }

  #show(): void {
    if (!this.#overall) return;
    const { overview, reports, list } = this.#overall;
    byId("node", HTMLElement).textContent = nodeWords(overview);
    this.#fill("totals", overview.all, () => totalsOf(overview));
    this.#fill("lobbies", overview.lobbies, () => lobbyRows(overview));
    const more = byId("more-lobbies", HTMLElement);
    more.hidden = overview.moreLobbies === 0;
    more.textContent = `and ${overview.moreLobbies} more lobbies with fewer people`;
    this.#fillLong("reports", reports.reports, (report) =>
      reportItem(report, overview.evidenceUrl, this),
    );
    this.#fillLong("suspensions", list.suspensions, (one) => suspensionItem(one, this));
  }

  #fillLong<T>(
    id: "reports" | "suspensions",
    entries: readonly T[],
    make: (entry: T) => HTMLElement,
  ): void {
    const shown = this.#isWhole[id] ? entries : entries.slice(0, shownAtFirst);
    byId(`no-${id}`, HTMLElement).hidden = entries.length > 0;
    const more = byId(`more-${id}`, HTMLButtonElement);
    more.hidden = shown.length === entries.length;
    more.textContent = `Show all ${entries.length}`;
    this.#fill(id, shown, () => shown.map(make));
  }

  /** Fills a list if what it is made of has changed. The focus stays on the same button, or goes to the list's title. */
  #fill(id: string, of: unknown, make: () => HTMLElement[]): void {
    const json = JSON.stringify(of);
    if (this.#shown.get(id) === json) return;
    this.#shown.set(id, json);
    const parent = byId(id, HTMLElement);
    const focused = document.activeElement;
    const key = parent.contains(focused) ? focused?.getAttribute("data-key") : undefined;
    parent.replaceChildren(...make());
    if (key === undefined || key === null) return;
    const same = [...parent.querySelectorAll<HTMLElement>("[data-key]")];
    const next = same.find((one) => one.dataset["key"] === key);
    (next ?? document.getElementById(`${id}-title`))?.focus();
  }

  async #find(): Promise<void> {
    const text = byId("found-text", HTMLElement);
    const letters = this.#letters.value.trim();
    try {
      const { sessions, more } = await this.#api.find({ letters });
      const count = `${more ? "More than " : ""}${sessions.length}`;
      text.textContent =
        sessions.length === 0
          ? "Nobody who is connected has such an id."
          : `${count} ${sessions.length === 1 ? "session" : "sessions"} found.`;
      this.#fill("found", sessions, () => sessions.map((one) => foundItem(one, this)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      text.textContent = error.message;
    }
  }

  // -------------------------------------------------------------------------------------------
  // What is done

  suspend(who: Named, because?: ReportReason): void {
    this.#askSuspend(who, because);
  }

  endRoom(roomId: string): void {
    this.#askEnd(roomId);
  }

  lift(subject: Subject): void {
    void this.#attempt(async () => {
      const { lifted } = await this.#api.mutate("lift", { subject });
      const name = `${kindWords[subject.kind]} ${subject.id}`;
      this.#say(lifted ? `${name} may join again.` : `${name} was not suspended any more.`);
      await this.#refresh();
    }).then((problem) => problem !== undefined && this.#say(problem));
  }

  /** Resolves with why it could not be done. */
  async #attempt(act: () => Promise<void>): Promise<string | undefined> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return error.message;
    }
    // Once a dialog that has led to this has closed.
    setTimeout(() => {
      void this.#refresh();
      if (this.#letters.value.trim().length >= 4 && byId("found", HTMLElement).hasChildNodes())
        void this.#find();
    });
    return undefined;
  }

  /** What was said before is no longer of interest, nor is this after a while. */
  #say(words: string): void {
    clearTimeout(this.#silence);
    this.#said.textContent = words;
    this.#silence = setTimeout(() => (this.#said.textContent = ""), saidMs);
  }
}

/** A token is kept for this tab alone. */
function readToken(): string {
  try {
    return sessionStorage.getItem(tokenKey) ?? "";
  } catch {
    return "";
  }
}

function keepToken(token: string): void {
  try {
    if (token === "") sessionStorage.removeItem(tokenKey);
    else sessionStorage.setItem(tokenKey, token);
  } catch {
    // It has to be typed again after a reload.
  }
}

new Console();
