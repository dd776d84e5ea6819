/** The texts of the page about its modes: video, voice and text. */
import type { Chat, Mode } from "../protocol.ts";

/** What the page says of a mode while there is no partner: the cover's title and text, and why Start asks for devices. */
export const modeWords: Record<Mode, { title: string; text: string; why: string }> = {
  video: {
    title: "Video chat with strangers",
    text: "Press Start to be matched with a random stranger. The call is encrypted and peer to peer.",
    why: "Start asks for your camera and microphone so that the stranger can see and hear you. This server receives neither.",
  },
  audio: {
    title: "Voice chat with strangers",
    text: "Press Start to be matched with a random stranger. The call is encrypted and peer to peer.",
    why: "Start asks for your microphone so that the stranger can hear you. This server does not receive what you say.",
  },
  text: {
    title: "Text chat with strangers",
    text: "Press Start to be matched with a random stranger. Messages go through this server, so strangers never see your IP address.",
    why: "Neither camera nor microphone is used.",
  },
};

/** What the empty chat says, by the way that messages take. */
export const chatWords: Record<Chat, string> = {
  direct: "Messages are peer to peer, too. They are not stored.",
  server: "Messages go through this server.",
};

/** The status line while the browser asks for devices. */
export const deviceWords = {
  video: "Waiting for your camera. Please allow it if your browser asks.",
  audio: "Waiting for your microphone. Please allow it if your browser asks.",
};
