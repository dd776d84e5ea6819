/**
 * The elements of the page by id, with their types.
 * @throws if the page lacks one.
 */
export function findElements() {
  return { ...findSettings(), ...findPicture(), ...findCover(), ...findCall() };
}

function findSettings() {
  return {
    onlineLine: byId("online-line", HTMLElement),
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
    speakerField: byId("speaker-field", HTMLElement),
    speakerChoice: byId("speaker-choice", HTMLSelectElement),
    devicesHint: byId("devices-hint", HTMLElement),
    languageChoice: byId("language-choice", HTMLSelectElement),
    relayOnly: byId("relay-only", HTMLInputElement),
    second: byId("second", HTMLAnchorElement),
  };
}

function findPicture() {
  return {
    room: byId("room", HTMLElement),
    stage: byId("stage", HTMLElement),
    backdrop: byId("backdrop", HTMLCanvasElement),
    remoteVideo: byId("remote-video", HTMLVideoElement),
  };
}

function findCover() {
  return {
    cover: byId("cover", HTMLElement),
    coverTitle: byId("cover-title", HTMLElement),
    coverText: byId("cover-text", HTMLElement),
    mutedBadge: byId("muted-badge", SVGElement),
    swipeHint: byId("swipe-hint", HTMLElement),
    why: byId("why", HTMLElement),
    again: byId("again", HTMLButtonElement),
    wishes: byId("wishes", HTMLFormElement),
    modes: byId("modes", HTMLFieldSetElement),
    interests: byId("interests", HTMLInputElement),
    preview: byId("preview", HTMLButtonElement),
    trouble: byId("trouble", HTMLElement),
    troubleTitle: byId("trouble-title", HTMLElement),
    troubleText: byId("trouble-text", HTMLElement),
    cameraRetry: byId("camera-retry", HTMLButtonElement),
    cameraAudio: byId("camera-audio", HTMLButtonElement),
    cameraSynthetic: byId("camera-synthetic", HTMLButtonElement),
    cameraNone: byId("camera-none", HTMLButtonElement),
  };
}

/** What is used in a call: its dialogs, tools and chat, and the bottom bar. */
function findCall() {
  return {
    callLine: byId("call-line", HTMLElement),
    timer: byId("timer", HTMLElement),
    quality: byId("quality", HTMLElement),
    partnerMuted: byId("partner-muted", HTMLElement),
    shared: byId("shared", HTMLUListElement),
    partnerFacts: byId("partner-facts", HTMLUListElement),
    banner: byId("banner", HTMLElement),
    reportOpen: byId("report-open", HTMLButtonElement),
    report: byId("report", HTMLDialogElement),
    reportNote: byId("report-note", HTMLTextAreaElement),
    reportStill: byId("report-still", HTMLElement),
    reportStillCheck: byId("report-still-check", HTMLInputElement),
    reportPicture: byId("report-picture", HTMLCanvasElement),
    reportMessages: byId("report-messages", HTMLElement),
    reportMessagesCheck: byId("report-messages-check", HTMLInputElement),
    reportMessagesList: byId("report-messages-list", HTMLUListElement),
    warning: byId("warning", HTMLDialogElement),
    warningText: byId("warning-text", HTMLElement),
    appeal: byId("appeal", HTMLAnchorElement),
    rules: byId("rules", HTMLDialogElement),
    rulesText: byId("rules-text", HTMLElement),
    rulesLink: byId("rules-link", HTMLAnchorElement),
    rulesAge: byId("rules-age", HTMLElement),
    rulesAgeLabel: byId("rules-age-label", HTMLElement),
    rulesAgeCheck: byId("rules-age-check", HTMLInputElement),
    block: byId("block", HTMLButtonElement),
    blockLabel: byId("block-label", HTMLElement),
    more: byId("more", HTMLButtonElement),
    extras: byId("extras", HTMLElement),
    flip: byId("flip", HTMLButtonElement),
    share: byId("share", HTMLButtonElement),
    fill: byId("fill", HTMLButtonElement),
    fullscreen: byId("fullscreen", HTMLButtonElement),
    volumeField: byId("volume-field", HTMLElement),
    volume: byId("volume", HTMLInputElement),
    statsToggle: byId("stats-toggle", HTMLButtonElement),
    stats: byId("stats", HTMLElement),
    statsList: byId("stats-list", HTMLElement),
    unmute: byId("unmute", HTMLButtonElement),
    me: byId("me", HTMLElement),
    localVideo: byId("local-video", HTMLVideoElement),
    localText: byId("local-text", HTMLElement),
    localNote: byId("local-note", HTMLElement),
    level: byId("level", HTMLElement),
    levelBar: byId("level-bar", HTMLElement),
    tools: byId("tools", HTMLElement),
    mic: byId("mic", HTMLButtonElement),
    cam: byId("cam", HTMLButtonElement),
    chatToggle: byId("chat-toggle", HTMLButtonElement),
    unread: byId("unread", HTMLElement),
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

export function byId<T extends HTMLElement | SVGElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}
