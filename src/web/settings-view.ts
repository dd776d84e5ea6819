/** The settings dialog: camera, microphone and privacy. */
import type { Camera, Device } from "../client/camera.ts";
import type { Elements } from "./elements.ts";
import { fill } from "./language.ts";
import type { LanguageChoice } from "./language-choice.ts";
import { recall, remember } from "./storage.ts";
import type { Strings } from "./strings/en.ts";

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
  language: LanguageChoice,
  listener: SettingsListener,
): SettingsView {
  const { settings, settingsOpen, cameraChoice, microphoneChoice, devicesHint } = elements;
  const { speakerField, speakerChoice, remoteVideo, relayOnly } = elements;
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
  const listIfOpen = () => {
    if (settings.open) void list();
  };
  speakerChoice.addEventListener("change", () => {
    void camera.setSpeaker(remoteVideo, speakerChoice.value);
  });
  void camera.setSpeaker(remoteVideo);
  camera.subscribe(({ type }) => {
    listIfOpen();
    // The chosen speaker may be there only now: some browsers hide all of them until a microphone is open.
    if (type === "stream" || type === "devices") void camera.setSpeaker(remoteVideo);
  });
  language.subscribe(listIfOpen);

  async function list(): Promise<void> {
    const devices = await camera.devices();
    const { settings: words } = language.current.strings;
    const show = (select: HTMLSelectElement, device: string, found: Device[], used?: string) =>
      listDevices(select, { devices: found, used, device, words });
    show(cameraChoice, words.camera, devices.cameras, devices.camera);
    show(microphoneChoice, words.microphone, devices.microphones, devices.microphone);
    show(speakerChoice, words.speaker, devices.speakers, devices.speaker);
    speakerField.hidden = devices.speakers.length < 2 || !("setSinkId" in remoteVideo);
    const isNamed = ({ label }: Device) => label !== "";
    devicesHint.hidden = [...devices.cameras, ...devices.microphones].some(isNamed);
  }

  return {
    get relayOnly() {
      return relayOnly.checked;
    },
  };
}

/** @param device what each of them is, for those that have no name. */
function listDevices(
  select: HTMLSelectElement,
  {
    devices,
    used,
    device,
    words,
  }: { devices: Device[]; used: string | undefined; device: string; words: Strings["settings"] },
): void {
  const options = devices.map(({ id, label }, index) => {
    const option = document.createElement("option");
    option.value = id;
    option.textContent = label || fill(words.deviceNumber, { device, number: String(index + 1) });
    option.selected = id === used;
    return option;
  });
  if (options.length === 0) {
    const none = document.createElement("option");
    none.textContent = words.defaultDevice;
    options.push(none);
  }
  select.replaceChildren(...options);
  select.disabled = devices.length === 0;
}
