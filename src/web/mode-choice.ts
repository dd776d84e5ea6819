/** The choice between video, voice and text. */
import { modes, type Mode } from "../protocol.ts";
import type { Elements } from "./elements.ts";
import { recall, remember } from "./storage.ts";

export interface ModeChoice {
  readonly mode: Mode;
}

/** Binds the choice, which is remembered. `changed` is called when the user has made another one. */
export function createModeChoice({ modes: field }: Elements, changed: () => void): ModeChoice {
  const inputs = [...field.querySelectorAll("input")];
  const known = modes.find((mode) => mode === recall("mode")) ?? "video";
  for (const input of inputs) input.checked = input.value === known;

  function chosen(): Mode {
    const value = inputs.find(({ checked }) => checked)?.value;
    return modes.find((mode) => mode === value) ?? "video";
  }

  field.addEventListener("change", () => {
    remember("mode", chosen());
    changed();
  });
  return {
    get mode() {
      return chosen();
    },
  };
}
