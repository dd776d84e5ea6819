/**
 * The connections to Redis: one for commands, one for subscriptions. Nothing waits here for a Redis that is unavailable: a
 * command fails at once, or after `timeoutMs`.
 */
import { createClient, ErrorReply } from "@redis/client";
import type { System } from "../../system.ts";
import { namedFault } from "./faults.ts";

/** Redis is unavailable, or has not answered in time: the command may have been executed or not. */
export class RedisUnavailable extends Error {}

export interface RedisClientOptions {
  url: string;
  /** A command that has not been answered by then has failed (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule" | "random">;
  onMessage: (message: string) => void;
  /** A connection is new: messages that were published before may have been missed. */
  onConnected: () => void;
  /** The connection, or Redis itself, is not fit for use. */
  onUnavailable: (why: Error) => void;
}

type Connection = ReturnType<typeof createClient>;

export class RedisClient {
  readonly #options: RedisClientOptions;
  readonly #channels = new Set<string>();
  #commands: Connection;
  #subscriber: Connection;
  #isClosed = false;

  constructor(options: RedisClientOptions) {
    this.#options = options;
    this.#commands = this.#openCommands();
    this.#subscriber = this.#openSubscriber();
  }

  /** @throws {RedisUnavailable} */
  command(...args: string[]): Promise<unknown> {
    return this.#inTime(this.#commands.sendCommand(args));
  }

  /** Runs a script without KEYS: this engine is for a single Redis, not for a cluster. @throws {RedisUnavailable} */
  async evaluate(
    { sha1, text }: { sha1: string; text: string },
    args: readonly string[],
  ): Promise<unknown> {
    try {
      return await this.command("EVALSHA", sha1, "0", ...args);
    } catch (error) {
      if (!String(error).includes("NOSCRIPT")) throw error;
      return await this.command("EVAL", text, "0", ...args);
    }
  }

  /** Adds a subscription. @throws {RedisUnavailable} */
  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
    await this.#inTime(this.#subscribeOn(this.#subscriber, channel));
  }

  async unsubscribe(channel: string): Promise<void> {
    this.#channels.delete(channel);
    await this.#inTime(this.#subscriber.unsubscribe(channel));
  }

  /** Replaces the connection for subscriptions, which no longer delivers. */
  resubscribe(): void {
    const silent = this.#subscriber;
    this.#subscriber = this.#openSubscriber();
    silent.destroy();
  }

  /** Replaces both connections, and resolves the host name again. */
  reconnect(): void {
    if (this.#isClosed) return;
    const old = [this.#commands, this.#subscriber];
    this.#commands = this.#openCommands();
    this.#subscriber = this.#openSubscriber();
    for (const connection of old) connection.destroy();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const connection of [this.#commands, this.#subscriber]) connection.destroy();
  }

  #createConnection(): Connection {
    const { url, timeoutMs, clock } = this.#options;
    return createClient({
      url,
      disableOfflineQueue: true,
      disableClientInfo: true,
      // The client's own timeout covers only what is not yet written, and costs an AbortSignal for each command.
      commandOptions: { timeout: 0 },
      socket: {
        connectTimeout: timeoutMs,
        // With jitter, or all nodes reconnect at the same moment.
        reconnectStrategy: (tries: number) =>
          Math.min(50 * 2 ** tries, 1000) * (0.5 + clock.random() / 2),
      },
    }) as Connection;
  }

  #openCommands(): Connection {
    const { onUnavailable, onConnected } = this.#options;
    const connection = this.#createConnection();
    connection.on("error", (error: Error) => {
      if (connection === this.#commands) onUnavailable(error);
    });
    connection.on("ready", () => {
      if (connection === this.#commands) onConnected();
    });
    connection.connect().catch(() => {});
    return connection;
  }

  #openSubscriber(): Connection {
    const connection = this.#createConnection();
    connection.on("error", () => {});
    connection.on("ready", () => {
      if (connection === this.#subscriber) this.#options.onConnected();
    });
    void (async () => {
      await connection.connect();
      for (const channel of this.#channels) await this.#subscribeOn(connection, channel);
    })().catch(() => {});
    return connection;
  }

  // Always the same function, so that subscribing twice is subscribing once.
  readonly #onMessage = (message: string) => this.#options.onMessage(message);

  async #subscribeOn(connection: Connection, channel: string): Promise<void> {
    await connection.subscribe(channel, this.#onMessage);
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    const { clock, timeoutMs, onUnavailable } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = clock.schedule(timeoutMs, () => {
        const late = new RedisUnavailable("no answer in time");
        reject(late);
        onUnavailable(late);
      });
      answer.then(
        (value) => {
          cancel();
          resolve(value);
        },
        (error: Error) => {
          cancel();
          const isReply = error instanceof ErrorReply;
          if (isReply && !namedFault(error.message)) return reject(error);
          const unavailable = new RedisUnavailable(error.message);
          reject(unavailable);
          // A broken connection emits an error of its own.
          if (isReply) onUnavailable(unavailable);
        },
      );
    });
  }
}
