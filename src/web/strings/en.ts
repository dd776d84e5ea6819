/**
 * The strings of the page in English, and the shape of those in every other language. `{name}` is a placeholder. A string that depends on a
 * number has a form per plural category of its language (https://unicode.org/reports/tr35/tr35-numbers.html#Language_Plural_Rules).
 */

/** A string that depends on a number, which is `{count}`. */
export interface PluralForms {
  readonly zero?: string;
  readonly one?: string;
  readonly two?: string;
  readonly few?: string;
  readonly many?: string;
  readonly other: string;
}

/** The keys of the English strings, for another language. */
type Translated<T> = {
  readonly [K in keyof T]: T[K] extends string
    ? string
    : T[K] extends { one: string; other: string }
      ? PluralForms
      : Translated<T[K]>;
};

export type Strings = Translated<typeof en>;

export const en = {
  page: {
    second: "Open a second stranger",
    online: { one: "{count} online", other: "{count} online" },
    ready: "Ready when you are.",
    stage: "The stranger",
    me: "You",
    you: "You",
    stranger: "Stranger",
  },
  controls: {
    start: "Start",
    next: "Next",
    stop: "Stop",
    confirm: "Really?",
    confirmNext: "Press Next again to leave this stranger.",
    confirmBlock: "Press Block again to leave this stranger and never be matched with them again.",
    swipe: "Swipe left for the next stranger.",
    again: "Meet again",
    preview: "Check camera and microphone",
    tools: "Controls of the call",
    more: "More",
    mute: "Mute the microphone",
    cameraOff: "Turn off the camera",
    report: "Report",
    block: "Block",
    stats: "Stats",
    fill: "Fill the frame",
    fullscreen: "Full screen",
    volume: "Volume of the stranger",
    chat: "Chat",
    sound: "Turn on sound",
    settings: "Settings",
  },
  status: {
    waiting: "Looking for someone…",
    waitingAfter: "{ended} Looking for someone else…",
    connecting: "Found someone. Connecting…",
    connected: "You are connected. Say hello!",
    connectedMuted: "You are connected. The stranger's microphone is off.",
    orphaned: "The server no longer knows this call. It continues until you press Next.",
    signalingLost: "Lost the connection to the server. Reconnecting…",
    signalingLostInCall: "Lost the connection to the server. Your call continues…",
    partnerLost: "The stranger's connection dropped. Waiting for them to reconnect…",
    mediaLost: "The connection to the stranger is unstable. Reconnecting…",
    openingDevices: {
      video: "Waiting for your camera. Please allow it if your browser asks.",
      audio: "Waiting for your microphone. Please allow it if your browser asks.",
    },
  },
  ended: {
    left: "The stranger left.",
    skipped: "The stranger moved on.",
    lost: "The stranger's connection was lost.",
    "connect-failed": "You could not be connected to the stranger.",
    removed: "The stranger was removed.",
    "media-lost": "The connection to the stranger failed.",
  },
  errors: {
    takenOver: "This chat is open in another tab. Press Start to use it here.",
    serverFault: "Something went wrong on the server. Please try again.",
    unsupported: "This browser does not support {what}, or it is turned off. Calls need it.",
    callSetup: "Your browser could not set up the call. Reload the page, or try another browser.",
    origin:
      "The server does not accept pages from {origin}. Its operator can add it to CORS_ORIGIN.",
    wrongUrl: "There is no Peer Stream server at {url}.",
    turnedAway: "The server closed the connection. Please reload the page.",
    closed: "This page closed its connection. Please reload it.",
    rateLimited: "You are doing that too often. Try again {when}.",
    busy: "The server is busy. Try again {when}.",
    soon: "in a moment",
    inSeconds: { one: "in a second", other: "in {count} seconds" },
    suspended: "You are suspended.",
    suspendedUntil: "You are suspended until {time}.",
    noRelay: "This server has no relay, so it cannot hide your IP address.",
    challenge:
      "Your browser could not solve what the server asked for. Reload the page over HTTPS, or try another browser.",
    refused: "The server refused the request. Please reload the page.",
    badInput: "The server rejected the request. Please reload the page.",
    badInterest: "One of your interests is not valid.",
    badLobby: "You cannot enter this lobby. Choose another in the settings.",
    badFact:
      "The server does not accept what you say about yourself: {name}. Change it in the settings.",
    badWant:
      "The server does not accept what you want of strangers: {name}. Change it in the settings.",
  },
  cover: {
    takenOver: "Open in another tab",
    takenOverText: "You continued in another tab. Press Start to continue here instead.",
    suspended: "You are suspended",
    impossible: "This does not work here",
    retry: "Try again?",
    another: "Meet someone else?",
    waiting: "Looking for someone…",
    connecting: "Connecting…",
    connectingText: "Setting up the call.",
    almost: "Almost there…",
    almostText: "Waiting for the stranger's video.",
    noVideo: "The stranger is connected but shows no video.",
    talking: "You are talking",
    talkingText: "You can hear each other.",
    mutedText: "The stranger's microphone is off.",
    cameraOff: "Camera off",
    cameraOffText: "The stranger's camera is off. You can still hear them.",
    bothOffText: "The stranger's camera and microphone are off. You can still chat.",
    lost: "Connection lost",
    lostText: "The server does not respond. Trying to reconnect.",
    reconnecting: "Reconnecting…",
    reconnectingText: "Trying to restore the connection.",
    moment: "One moment…",
    others: {
      one: "One other person was waiting when you joined, but you have met recently or your interests or wishes differ. {hope}",
      other:
        "{count} other people were waiting when you joined, but you have met recently or your interests or wishes differ. {hope}",
    },
    othersHope: "You may still be matched in a while.",
    nobody: "No one else was waiting when you joined. {hope}",
    nobodyHope: "The next person to join may be your match.",
    first: "You are the first one here. You will be matched when someone else joins.",
    restricted: "Your settings let you meet only certain strangers ({names}).",
    shared: "Interests you share",
    facts: "About the stranger",
    appeal: "Object to this decision",
  },
  call: {
    duration: "Duration of the call",
    fair: "Weak connection",
    poor: "Poor connection",
  },
  modes: {
    question: "How would you like to talk?",
    video: {
      label: "Video",
      title: "Video chat with strangers",
      text: "Press Start to be matched with a random stranger. The call is encrypted and peer to peer.",
      why: "Start asks for your camera and microphone so that the stranger can see and hear you. This server receives neither.",
    },
    audio: {
      label: "Voice",
      title: "Voice chat with strangers",
      text: "Press Start to be matched with a random stranger. The call is encrypted and peer to peer.",
      why: "Start asks for your microphone so that the stranger can hear you. This server does not receive what you say.",
    },
    text: {
      label: "Text",
      title: "Text chat with strangers",
      text: "Press Start to be matched with a random stranger. Messages go through this server, so strangers never see your IP address.",
      why: "Neither camera nor microphone is used.",
    },
  },
  interests: {
    label: "What would you like to talk about?",
    example: "chess, hiking, jazz",
    hint: "Up to ten, separated by commas. People who share one are matched first.",
    shared: "You both like {interests}.",
  },
  camera: {
    retry: "Try again",
    audio: "Audio only",
    synthetic: "Use an animated avatar",
    none: "Continue without",
    idle: "Your camera turns on when you press Start.",
    nothingSent: "The stranger cannot see or hear you.",
    off: "Your camera is off.",
    audioOnly: "Audio only.",
    level: "Level of your microphone",
    denied: {
      title: "Camera access is blocked",
      text: "This page is not allowed to use your camera and microphone. Allow it with the icon in the address bar or in your system's privacy settings, then try again.",
    },
    "not-found": {
      title: "No camera found",
      text: "No camera or no microphone was found. Connect one and try again, or continue without.",
    },
    "in-use": {
      title: "The camera is in use",
      text: "Another application seems to be using your camera or microphone. Close it, then try again.",
    },
    "insecure-context": {
      title: "This page is not secure",
      text: "Browsers only share cameras with pages loaded over HTTPS or from localhost. Open the page that way, or continue without a camera.",
    },
    overconstrained: {
      title: "The camera is not supported",
      text: "Your camera cannot provide the video that this page asked for. Try again, or continue without it.",
    },
    ended: {
      title: "The camera was disconnected",
      text: "It was unplugged, or its permission was revoked. The stranger cannot see you until it is back.",
    },
    unknown: {
      title: "The camera could not be started",
      text: "Your browser did not say why. Trying again often helps.",
    },
  },
  chat: {
    title: "Chat",
    log: "Messages",
    input: "Message to the stranger",
    example: "Type a message",
    closed: "Opens with the next stranger",
    send: "Send",
    typing: "The stranger is typing",
    undelivered: "Not delivered",
    direct: "Messages are peer to peer, too. They are not stored.",
    server: "Messages go through this server.",
    over: "The conversation has ended.",
    unread: { one: "Chat, {count} new message", other: "Chat, {count} new messages" },
    askedAgain:
      "You asked to meet this stranger again. If they ask for it as well, you will be connected.",
    tooLateAgain: "It is too late to meet this stranger again.",
  },
  stats: {
    title: "Call statistics",
    path: "Path",
    paths: { direct: "direct", relayed: "relayed" },
    roundTrip: "Round trip",
    receiving: "Receiving",
    sending: "Sending",
    loss: "Loss",
    codecs: "Codecs",
    video: "Video",
    match: "Time to match",
    connect: "Time to connect",
    firstFrame: "Time to first frame",
  },
  settings: {
    language: "Language",
    camera: "Camera",
    microphone: "Microphone",
    deviceNumber: "{device} {number}",
    defaultDevice: "Browser default",
    devicesHint: "Your devices are listed here once you allow this page to use them.",
    relay: "Hide my IP address",
    relayHint:
      "Calls go through a relay server, so that strangers cannot see your IP address. Applies from the next stranger on.",
    lobby: "Lobby",
    aboutYou: "About you",
    aboutYouHint: "You need not say any of this. Some strangers ask for it.",
    wants: "Whom you want to meet",
    done: "Done",
  },
  facts: {
    unstated: "Not said",
    any: "Any",
    yes: "Yes",
    no: "No",
    from: "From",
    to: "To",
    reversed: "This is less than “From”.",
    shown: "Strangers see this.",
    only: "Only such strangers",
    mayInsist:
      "Such strangers first, others after a while. With “Only such strangers” you may wait long.",
    givesWay: "Such strangers first, others after a while.",
    fact: "{name}: {value}",
    itIs: "yes",
    itIsNot: "no",
    about: "About the stranger: {facts}.",
  },
  rules: {
    title: "Before you start",
    link: "Read the rules",
    age: "I am at least {years} years old.",
    agree: "I agree",
    decline: "Not now",
    declined: "You can start once you have agreed to the rules.",
  },
  report: {
    title: "Report this stranger",
    consequence: "The call ends and you will not be matched with this stranger again.",
    note: "Note to the moderators (optional)",
    still: "Send this picture of the stranger",
    picture: "The stranger's picture as it would be sent",
    messages: "Send our last messages",
    showMessages: "Show these messages",
    choose: "Your report is sent once you choose what is wrong.",
    cancel: "Cancel",
    sent: "Your report was sent. Thank you.",
    overtaken: "You have met somebody else before the report was sent. Nobody was reported.",
    quoted: "{from}: {text}",
    reasons: {
      nudity: "Nudity or sexual content",
      harassment: "Harassment or threats",
      hate: "Hate speech",
      minor: "Someone who seems underage",
      spam: "Spam, advertising or a recording",
      other: "Something else",
    },
  },
  sanctions: {
    title: "A warning",
    understood: "I understand",
    warnedByOperator: "A moderator warned you.",
    warning: "If this goes on, you will be suspended and cannot meet anybody for a while.",
    suspendedSomehow: "Several people reported you, or a moderator suspended you.",
    suspendedByOperator: "A moderator suspended you.",
    forNow: "You will not be matched with anyone for now.",
    until: "You will not be matched with anyone until {time}.",
    objection: "If you think that this is wrong: {appeal}",
    case: "Your case is {id}.",
    reported: {
      nudity: "You were reported for nudity or sexual content.",
      harassment: "You were reported for harassment or threats.",
      hate: "You were reported for hate speech.",
      minor: "You were reported for seeming underage.",
      spam: "You were reported for spam, advertising or a recording.",
      other: "You were reported for another reason.",
    },
  },
} as const;
