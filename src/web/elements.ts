/**
 * The elements of the page by id, with their types.
 * @throws if the page lacks one.
 */
export function findElements() {
  return {
    online: byId("online", HTMLElement),
    settingsOpen: byId("settings-open", HTMLButtonElement),
    settings: byId("settings", HTMLDialogElement),
    lobbyField: byId("lobby-field", HTMLElement),
    lobbyChoice: byId("lobby-choice", HTMLSelectElement),
    factsSection: byId("facts-section", HTMLElement),
    factsFields: byId("facts-fields", HTMLElement),
    wantsSection: byId("wants-section", HTMLElement),
    wantsNote: byId("wants-note", HTMLElement),
    wantsFields: byId("wants-fields", HTMLElement),
    cameraChoice: byId("camera-choice", HTMLSelectElement),
    microphoneChoice: byId("microphone-choice", HTMLSelectElement),
    devicesHint: byId("devices-hint", HTMLElement),
    relayOnly: byId("relay-only", HTMLInputElement),
    second: byId("second", HTMLAnchorElement),
    remoteVideo: byId("remote-video", HTMLVideoElement),
    cover: byId("cover", HTMLElement),
    coverTitle: byId("cover-title", HTMLElement),
    coverText: byId("cover-text", HTMLElement),
    why: byId("why", HTMLElement),
    again: byId("again", HTMLButtonElement),
    wishes: byId("wishes", HTMLFormElement),
    modes: byId("modes", HTMLFieldSetElement),
    interests: byId("interests", HTMLInputElement),
    trouble: byId("trouble", HTMLElement),
    troubleTitle: byId("trouble-title", HTMLElement),
    troubleText: byId("trouble-text", HTMLElement),
    cameraRetry: byId("camera-retry", HTMLButtonElement),
    cameraAudio: byId("camera-audio", HTMLButtonElement),
    cameraSynthetic: byId("camera-synthetic", HTMLButtonElement),
    cameraNone: byId("camera-none", HTMLButtonElement),
    shared: byId("shared", HTMLUListElement),
    partnerFacts: byId("partner-facts", HTMLUListElement),
    banner: byId("banner", HTMLElement),
    about: byId("about", HTMLElement),
    reportOpen: byId("report-open", HTMLButtonElement),
    report: byId("report", HTMLDialogElement),
    reportReasons: byId("report-reasons", HTMLElement),
    rules: byId("rules", HTMLDialogElement),
    rulesText: byId("rules-text", HTMLElement),
    rulesLink: byId("rules-link", HTMLAnchorElement),
    rulesAge: byId("rules-age", HTMLElement),
    rulesAgeLabel: byId("rules-age-label", HTMLElement),
    rulesAgeCheck: byId("rules-age-check", HTMLInputElement),
    block: byId("block", HTMLButtonElement),
    statsToggle: byId("stats-toggle", HTMLButtonElement),
    stats: byId("stats", HTMLElement),
    statsList: byId("stats-list", HTMLElement),
    unmute: byId("unmute", HTMLButtonElement),
    localVideo: byId("local-video", HTMLVideoElement),
    localText: byId("local-text", HTMLElement),
    toggles: byId("toggles", HTMLElement),
    mic: byId("mic", HTMLButtonElement),
    cam: byId("cam", HTMLButtonElement),
    chatLog: byId("chat-log", HTMLElement),
    chatEmpty: byId("chat-empty", HTMLElement),
    typing: byId("typing", HTMLElement),
    chatForm: byId("chat-form", HTMLFormElement),
    chatInput: byId("chat-input", HTMLInputElement),
    chatSend: byId("chat-send", HTMLButtonElement),
    status: byId("status", HTMLElement),
    stop: byId("stop", HTMLButtonElement),
    next: byId("next", HTMLButtonElement),
    nextLabel: byId("next-label", HTMLElement),
    start: byId("start", HTMLButtonElement),
  };
}

export type Elements = ReturnType<typeof findElements>;

function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}
