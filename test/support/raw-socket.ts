/** A WebSocket without a client on top: what is sent is sent as it is, and every answer is looked at. */
import type { Challenge } from "../../src/protocol.ts";

/** One frame of the server's, as tRPC words it. */
export interface Answer {
  id?: string | number | null;
  result?: { type?: string; id?: string; data?: unknown };
  error?: {
    message: string;
    data: { reason?: string; code?: string; field?: string; challenge?: Challenge };
  };
}

export interface RawSocket extends AsyncDisposable {
  send(frame: string | Uint8Array): void;
  /** Sends it and waits for the answer to this id (`null`: one that belongs to no call). */
  ask(frame: string | Uint8Array, id: string | number | null): Promise<Answer>;
  /** Told of each answer; PONGs are none. */
  onAnswer(listener: (answer: Answer) => void): void;
  /** The code it was closed with, if it was. */
  readonly closedWith: number | undefined;
}

/** @param url `ws:`, with path and query. */
export async function openRawSocket(url: string): Promise<RawSocket> {
  const socket = new WebSocket(url);
  const listeners = new Set<(answer: Answer) => void>();
  let closedWith: number | undefined;
  socket.onmessage = ({ data }) => {
    if (data === "PING") return socket.send("PONG");
    if (data === "PONG") return;
    const answer = JSON.parse(String(data)) as Answer;
    for (const listener of listeners) listener(answer);
  };
  const closed = new Promise<void>((resolve) => {
    socket.onclose = ({ code }) => {
      closedWith = code;
      resolve();
    };
  });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error(`no socket at ${url}`));
  });
  const send = (frame: string | Uint8Array) => socket.send(frame as string);
  return {
    send,
    ask(frame, id) {
      return new Promise((resolve, reject) => {
        const listener = (answer: Answer) => {
          if (answer.id !== id) return;
          listeners.delete(listener);
          resolve(answer);
        };
        listeners.add(listener);
        void closed.then(() => reject(new Error(`closed with ${closedWith} before the answer`)));
        send(frame);
      });
    },
    onAnswer: (listener) => void listeners.add(listener),
    get closedWith() {
      return closedWith;
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await closed;
    },
  };
}
