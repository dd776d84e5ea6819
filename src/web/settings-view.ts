import type { Camera, Device } from "../client/camera.ts";
import type { Elements } from "./elements.ts";
import { recall, remember } from "./kept.ts";

/** The settings: which devices, and whether the own address is hidden. */
export interface SettingsView {
  readonly relayOnly: boolean;
}

/** What the settings tell. */
export interface SettingsListener {
  /** Another wish for a relay than before. */
  wishChanged(): void;
  /** Other devices were chosen; they are taken by `choose`. */
  chosen(choice: { camera?: string; microphone?: string }): void;
}

/** Binds the dialog of settings. */
export function createSettingsView(
  elements: Elements,
  camera: Camera,
  listener: SettingsListener,
): SettingsView {
  const { settings, settingsOpen, cameraChoice, microphoneChoice, devicesHint, relayOnly } =
    elements;
  relayOnly.checked = recall("relay-only") === "true";

  settingsOpen.addEventListener("click", () => {
    void list();
    settings.showModal();
  });
  // A press beside the sheet closes it, as Escape does.
  settings.addEventListener("click", ({ target }) => {
    if (target === settings) settings.close();
  });
  relayOnly.addEventListener("change", () => {
    remember("relay-only", String(relayOnly.checked));
    listener.wishChanged();
  });
  cameraChoice.addEventListener("change", () => listener.chosen({ camera: cameraChoice.value }));
  microphoneChoice.addEventListener("change", () =>
    listener.chosen({ microphone: microphoneChoice.value }),
  );
  camera.subscribe(() => {
    if (settings.open) void list();
  });

  async function list(): Promise<void> {
    const devices = await camera.devices();
    fill(cameraChoice, devices.cameras, devices.camera, "Camera");
    fill(microphoneChoice, devices.microphones, devices.microphone, "Microphone");
    const hint = hintFor(devices.cameras, devices.microphones);
    devicesHint.hidden = hint === undefined;
    devicesHint.textContent = hint ?? "";
  }

  return {
    get relayOnly() {
      return relayOnly.checked;
    },
  };
}

function fill(
  select: HTMLSelectElement,
  devices: Device[],
  used: string | undefined,
  word: string,
): void {
  const options = devices.map(({ id, label }, index) => {
    const option = document.createElement("option");
    option.value = id;
    option.textContent = label || `${word} ${index + 1}`;
    option.selected = id === used;
    return option;
  });
  if (options.length === 0) {
    const none = document.createElement("option");
    none.textContent = "The browser's choice";
    options.push(none);
  }
  select.replaceChildren(...options);
  select.disabled = devices.length === 0;
}

function hintFor(cameras: Device[], microphones: Device[]): string | undefined {
  const named = [...cameras, ...microphones].some(({ label }) => label !== "");
  return named ? undefined : "Your devices show up here once you have let this page use them.";
}
