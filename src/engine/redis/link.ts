/**
 * The connections to Redis: one for commands, one for what is published. Nothing waits here for a Redis that is
 * away: a command fails at once, or after `timeoutMs`.
 */
import { createClient, ErrorReply } from "@redis/client";
import type { System } from "../../system.ts";
import { namedFault } from "./faults.ts";
import type { Script } from "./scripts.ts";

/** Redis is away, or has not answered in time: what was asked may have been done or not. */
export class RedisAway extends Error {}

export interface LinkOptions {
  url: string;
  /** A command that has not been answered by then has failed (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule" | "random">;
  onMessage: (channel: string, message: string) => void;
  /** The connection is new, or a subscription is: what was published before may have been missed. */
  onConnected: () => void;
  /** The connection, or Redis itself, is not fit for use. */
  onAway: (why: Error) => void;
}

export interface Link {
  /** @throws {RedisAway} */
  run(script: Script, args: readonly string[]): Promise<unknown>;
  /** @throws {RedisAway} */
  command(...args: string[]): Promise<unknown>;
  /** Listens there too; replaces nothing. @throws {RedisAway} */
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** Lays the subscriptions anew: they have fallen silent. */
  resubscribe(): void;
  /** Replaces both connections, for which the name is resolved again: these lead to where nothing can be done. */
  reconnect(): void;
  close(): void;
}

export function createLink({ url, timeoutMs, clock, ...told }: LinkOptions): Link {
  const channels = new Set<string>();
  const settings = {
    url,
    disableOfflineQueue: true,
    disableClientInfo: true,
    // The client's own covers only what is not yet written, and costs a signal for each command.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: timeoutMs,
      // Jitter, or all nodes come back in the same moment.
      reconnectStrategy: (tries: number) =>
        Math.min(50 * 2 ** tries, 1000) * (0.5 + clock.random() / 2),
    },
  };
  let commands = newCommands();
  let subscriber = newSubscriber();
  let closed = false;

  function newCommands() {
    const client = createClient(settings);
    client.on("error", (error: Error) => {
      if (client === commands) told.onAway(error);
    });
    client.on("ready", () => {
      if (client === commands) told.onConnected();
    });
    client.connect().catch(() => {});
    return client;
  }

  function newSubscriber() {
    const client = createClient(settings);
    client.on("error", () => {});
    client.on("ready", () => {
      if (client === subscriber) told.onConnected();
    });
    void (async () => {
      await client.connect();
      for (const channel of channels) await listen(client, channel);
    })().catch(() => {});
    return client;
  }

  // Always the same function, so that subscribing twice is subscribing once.
  const onMessage = (message: string, channel: string) => told.onMessage(channel, message);

  async function listen(client: ReturnType<typeof newSubscriber>, channel: string) {
    await client.subscribe(channel, onMessage);
  }

  function inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = clock.schedule(timeoutMs, () => {
        const late = new RedisAway("no answer in time");
        reject(late);
        told.onAway(late);
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
          const away = new RedisAway(error.message);
          reject(away);
          // The connection says by itself when it breaks.
          if (isReply) told.onAway(away);
        },
      );
    });
  }

  const command = (...args: string[]) => inTime(commands.sendCommand(args));

  return {
    command,
    async run({ sha1, text }, args) {
      try {
        return await command("EVALSHA", sha1, "0", ...args);
      } catch (error) {
        if (!String(error).includes("NOSCRIPT")) throw error;
        return await command("EVAL", text, "0", ...args);
      }
    },
    async subscribe(channel) {
      channels.add(channel);
      await inTime(listen(subscriber, channel));
    },
    async unsubscribe(channel) {
      channels.delete(channel);
      await inTime(subscriber.unsubscribe(channel));
    },
    resubscribe() {
      const silent = subscriber;
      subscriber = newSubscriber();
      silent.destroy();
    },
    reconnect() {
      if (closed) return;
      const old = [commands, subscriber];
      commands = newCommands();
      subscriber = newSubscriber();
      for (const client of old) client.destroy();
    },
    close() {
      if (closed) return;
      closed = true;
      for (const client of [commands, subscriber]) client.destroy();
    },
  };
}
