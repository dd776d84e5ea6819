/** The settings dialog: camera, microphone and privacy. */
import type { Camera, Device } from "../client/camera.ts";
import type { Elements } from "./elements.ts";
import { recall, remember } from "./storage.ts";

/** The settings: which devices to use, and whether to hide the IP address. */
export interface SettingsView {
  readonly relayOnly: boolean;
}

/** Receives changes of the settings. */
export interface SettingsListener {
  /** The relay setting has changed. */
  relayOnlyChanged(): void;
  /** Other devices were chosen; `choose` switches to them. */
  chosen(choice: { camera?: string; microphone?: string }): void;
}

/** Binds the settings dialog. */
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
  // A click on the backdrop closes the dialog, as Escape does.
  settings.addEventListener("click", ({ target }) => {
    if (target === settings) settings.close();
  });
  relayOnly.addEventListener("change", () => {
    remember("relay-only", String(relayOnly.checked));
    listener.relayOnlyChanged();
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
    none.textContent = "Browser default";
    options.push(none);
  }
  select.replaceChildren(...options);
  select.disabled = devices.length === 0;
}

function hintFor(cameras: Device[], microphones: Device[]): string | undefined {
  const named = [...cameras, ...microphones].some(({ label }) => label !== "");
  return named ? undefined : "Your devices are listed here once you allow this page to use them.";
}
