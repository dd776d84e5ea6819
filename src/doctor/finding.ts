/** The result of one check, and what to do about it. */
export interface Finding {
  verdict: "ok" | "warn" | "fail";
  what: string;
  /** What to do; absent for `ok`. */
  advice?: string;
}

export const ok = (what: string): Finding => ({ verdict: "ok", what });
export const warn = (what: string, advice: string): Finding => ({ verdict: "warn", what, advice });
export const fail = (what: string, advice: string): Finding => ({ verdict: "fail", what, advice });

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
