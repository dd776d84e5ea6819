/**
 * The connections to Redis: one for commands, one for subscriptions. Nothing waits here for a Redis that is unavailable: a
 * command fails at once, or after `timeoutMs`.
 */
import { ErrorReply } from "@redis/client";
import type { System } from "../../system.ts";
import type { RedisMeter } from "../redis-meter.ts";
import { namedFault } from "./faults.ts";
import { Link, type Connection } from "./link.ts";
import type { RedisLocation, RedisTls } from "./location.ts";
import { scriptNames } from "./scripts.ts";
import { Locator } from "./locator.ts";

/** Redis is unavailable, or has not answered in time: the command may have been executed or not. */
export class RedisUnavailable extends Error {}

const offline = () => new RedisUnavailable("the client is offline");

export interface RedisClientOptions {
  location: RedisLocation;
  tls?: RedisTls | undefined;
  /** A key that never exists. All keys and channels that are used are in its slot, so that one master of a cluster has them. */
  absentKey: string;
  /** A command that has not been answered by then has failed (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule" | "random" | "elapsed">;
  onMessage: (message: string) => void;
  /** A connection is new: messages that were published before may have been missed. */
  onConnected: () => void;
  /** The connection, or Redis itself, is not fit for use. */
  onUnavailable: (why: Error) => void;
  meter?: RedisMeter | undefined;
}

export class RedisClient {
  readonly #options: RedisClientOptions;
  readonly #channels = new Set<string>();
  readonly #locator: Locator;
  #commands: Link;
  #subscriber: Link;
  #isClosed = false;
  #connections = 0;

  constructor(options: RedisClientOptions) {
    this.#options = options;
    this.#locator = new Locator({ ...options, key: options.absentKey }, (url) =>
      this.#replace((link) => link.url !== "" && link.url !== url),
    );
    this.#commands = this.#openCommands();
    this.#subscriber = this.#openSubscriber();
  }

  /** How many connections for commands there have been: two commands may have gone to different masters if it has changed. */
  get connections(): number {
    return this.#connections;
  }

  /** Where commands go. */
  get url(): string {
    return this.#commands.url;
  }

  /** @throws {RedisUnavailable} */
  command(...args: string[]): Promise<unknown> {
    return this.#command(args);
  }

  #command(args: string[], script?: string): Promise<unknown> {
    const { connection } = this.#commands;
    if (connection) return this.#inTime(connection.sendCommand(args), script);
    this.#options.meter?.failed();
    return Promise.reject(offline());
  }

  /** Runs a script, whose only declared key is the one that never exists: see `absentKey` in keys.ts. @throws {RedisUnavailable} */
  async evaluate(
    { sha1, text }: { sha1: string; text: string },
    args: readonly string[],
  ): Promise<unknown> {
    const { absentKey } = this.#options;
    const name = scriptNames[sha1];
    try {
      return await this.#command(["EVALSHA", sha1, "1", absentKey, ...args], name);
    } catch (error) {
      if (!String(error).includes("NOSCRIPT")) throw error;
      return await this.#command(["EVAL", text, "1", absentKey, ...args], name);
    }
  }

  /** Adds a subscription. @throws {RedisUnavailable} */
  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
    await this.#inTime(this.#subscribeOn(this.#connectionOf(this.#subscriber), channel));
  }

  async unsubscribe(channel: string): Promise<void> {
    this.#channels.delete(channel);
    await this.#inTime(this.#connectionOf(this.#subscriber).sUnsubscribe(channel));
  }

  /** Replaces the connection for subscriptions, which no longer delivers. */
  resubscribe(): void {
    this.#subscriber.close();
    this.#subscriber = this.#openSubscriber();
  }

  /** Replaces the connections that there are, and finds out anew where Redis is, as any that is being made does already. */
  reconnect(): void {
    this.#replace((link) => link.connection !== undefined);
  }

  #replace(isToGo: (link: Link) => boolean): void {
    if (this.#isClosed) return;
    const [commands, subscriber] = [this.#commands, this.#subscriber];
    if (isToGo(commands)) {
      this.#commands = this.#openCommands();
      commands.close();
    }
    if (isToGo(subscriber)) {
      this.#subscriber = this.#openSubscriber();
      subscriber.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#locator.close();
    for (const link of [this.#commands, this.#subscriber]) link.close();
  }

  #openCommands(): Link {
    const { tls, timeoutMs, clock, onConnected, onUnavailable, meter } = this.#options;
    return new Link({
      locate: () => this.#locator.locate(),
      tls,
      timeoutMs,
      clock,
      onReady: () => {
        if (this.#connections > 0) meter?.reconnected();
        this.#connections += 1;
        onConnected();
      },
      onLost: onUnavailable,
    });
  }

  #openSubscriber(): Link {
    const { tls, timeoutMs, clock, onConnected } = this.#options;
    return new Link({
      locate: () => this.#locator.locate(),
      tls,
      timeoutMs,
      clock,
      prepare: async (connection) => {
        for (const channel of this.#channels) await this.#subscribeOn(connection, channel);
      },
      onReady: onConnected,
      // The same happens to the connection for commands, or messages to this node itself do not return.
      onLost: () => {},
    });
  }

  #connectionOf(link: Link): Connection {
    const { connection } = link;
    if (!connection) throw offline();
    return connection;
  }

  // Always the same function, so that subscribing twice is subscribing once.
  readonly #onMessage = (message: string) => this.#options.onMessage(message);

  /** Sharded: a message goes to the one master that has the channel's slot, and not to all nodes of a cluster. */
  async #subscribeOn(connection: Connection, channel: string): Promise<void> {
    await connection.sSubscribe(channel, this.#onMessage);
  }

  #inTime<T>(answer: Promise<T>, script?: string): Promise<T> {
    const { clock, timeoutMs, onUnavailable, meter } = this.#options;
    const begunAt = clock.elapsed();
    let isLate = false;
    const measure = (hasFailed: boolean) => {
      if (isLate || !meter) return;
      meter.answered(clock.elapsed() - begunAt, script);
      if (hasFailed) meter.failed();
    };
    return new Promise((resolve, reject) => {
      const cancel = clock.schedule(timeoutMs, () => {
        measure(true);
        isLate = true;
        const late = new RedisUnavailable("no answer in time");
        reject(late);
        onUnavailable(late);
      });
      answer.then(
        (value) => {
          cancel();
          measure(false);
          resolve(value);
        },
        (error: Error) => {
          cancel();
          // That Redis does not know a script yet is part of running it.
          measure(!error.message.startsWith("NOSCRIPT"));
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
