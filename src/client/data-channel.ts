/** The data channel of a call: chat and the typing indicator. */
import { decodeMessage, encodeMessage, type DataChannelMessage } from "./data-channel-message.ts";

/** Nothing more is sent while more bytes than this are buffered: the partner does not receive fast enough. */
const BUFFERED_BYTES_MAX = 64 * 1024;

/** What a data channel reports. */
export interface DataChannelListener {
  message(message: DataChannelMessage): void;
  /** The partner has closed its end. */
  closed(): void;
}

/** The data channel of a call: chat and typing indicators. */
export class DataChannel {
  readonly #channel: RTCDataChannel;

  /**
   * Creates a channel with a fixed id that both sides know, so that it exists from the first offer on without in-band
   * negotiation.
   *
   * @throws what the browser throws; `pc` is closed then.
   */
  constructor(pc: RTCPeerConnection) {
    try {
      this.#channel = pc.createDataChannel("chat", { negotiated: true, id: 0 });
    } catch (fault) {
      pc.close();
      throw fault;
    }
  }

  get isOpen(): boolean {
    return this.#channel.readyState === "open";
  }

  /** @param ended - aborted when the call ends; nothing is reported after that. */
  listen(listener: DataChannelListener, ended: AbortSignal): void {
    const options = { signal: ended };
    const onMessage = ({ data }: MessageEvent<unknown>) => {
      const message = decodeMessage(data);
      if (message !== undefined) listener.message(message);
    };
    this.#channel.addEventListener("message", onMessage, options);
    this.#channel.addEventListener("close", () => listener.closed(), options);
  }

  /** Returns false if the channel is not open or is congested, or if a chat message is blank or too long. */
  send(message: DataChannelMessage): boolean {
    const frame = encodeMessage(message);
    if (frame === undefined || !this.isOpen) return false;
    if (this.#channel.bufferedAmount > BUFFERED_BYTES_MAX) return false;
    this.#channel.send(frame);
    return true;
  }
}
