/** The camera, microphone and speaker that were chosen last, kept in the page's storage. */
import type { Choice } from "./camera.ts";

/** The storage key of the choice. */
export const deviceChoiceKey = "peer-stream.devices";

/** Remembers the chosen devices. Without a working storage the choice is valid for this page only. */
export function writeDeviceChoice(
  storage: Pick<Storage, "setItem"> | undefined,
  choice: Choice,
): void {
  try {
    storage?.setItem(deviceChoiceKey, JSON.stringify(choice));
  } catch {
    // Blocked cookies, or an exceeded quota.
  }
}

/** The remembered devices; empty if there are none, or the stored value is invalid. */
export function readDeviceChoice(storage: Pick<Storage, "getItem"> | undefined): Choice {
  try {
    const stored: unknown = JSON.parse(storage?.getItem(deviceChoiceKey) ?? "{}");
    if (typeof stored !== "object" || stored === null) return {};
    const known = ["camera", "microphone", "speaker"].map((name): [string, unknown] => [
      name,
      Reflect.get(stored, name),
    ]);
    return Object.fromEntries(known.filter(([, id]) => id && typeof id === "string"));
  } catch {
    return {};
  }
}
