/** The data channel of a call: chat, the typing indicator, and messages of the application. */
import {
  decodeMessage,
  encodeMessage,
  isDataFrame,
  type DataChannelMessage,
} from "./data-channel-message.ts";
import { FrameBudget } from "./frame-budget.ts";

/** Nothing more is sent while more bytes than this are buffered: the partner does not receive fast enough. */
const BUFFERED_BYTES_MAX = 64 * 1024;

/** What a data channel reports. */
export interface DataChannelListener {
  message(message: DataChannelMessage): void;
  /** The partner has closed its end. */
  closed(): void;
}

/** The data channel of a call: chat, typing indicators, and messages of the application. */
export class DataChannel {
  readonly #channel: RTCDataChannel;
  readonly #sent = new FrameBudget("sent");
  readonly #received = new FrameBudget("received");
  #dropped = 0;

  /**
   * Creates a channel with a fixed id that both sides know, so that it exists from the first offer on without in-band
   * negotiation.
   *
   * @throws what the browser throws.
   */
  constructor(pc: RTCPeerConnection) {
    this.#channel = pc.createDataChannel("chat", { negotiated: true, id: 0 });
  }

  get isOpen(): boolean {
    return this.#channel.readyState === "open";
  }

  /** Frames of the partner that were more than is taken. They are not even parsed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param ended - aborted when the call ends; nothing is reported after that. */
  listen(listener: DataChannelListener, ended: AbortSignal): void {
    const options = { signal: ended };
    const onMessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data !== "string" || !this.#received.take(kindOf(data), data.length)) {
        this.#dropped += 1;
        return;
      }
      const message = decodeMessage(data);
      if (message !== undefined) listener.message(message);
    };
    this.#channel.addEventListener("message", onMessage, options);
    this.#channel.addEventListener("close", () => listener.closed(), options);
  }

  /** Returns false if the channel is not open or is congested, or if the message can't be encoded or exceeds what may be sent. Never throws. */
  send(message: DataChannelMessage): boolean {
    const frame = encodeMessage(message);
    if (frame === undefined || !this.isOpen) return false;
    if (this.#channel.bufferedAmount > BUFFERED_BYTES_MAX) return false;
    if (!this.#sent.take(kindOf(frame), frame.length)) return false;
    try {
      this.#channel.send(frame);
    } catch {
      // The partner's description says how large a message it takes (`max-message-size`, RFC 8841), and may say anything.
      return false;
    }
    return true;
  }
}

function kindOf(frame: string): "data" | "chat" {
  return isDataFrame(frame) ? "data" : "chat";
}
