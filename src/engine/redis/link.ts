/** A connection to Redis. When it is lost it is opened again, each time where Redis is then. */
import { createClient } from "@redis/client";
import type { System } from "../../system.ts";
import type { RedisTls } from "./location.ts";

export type Connection = ReturnType<typeof createClient>;

export interface LinkOptions {
  /** The URL of the Redis that is to be connected to now. */
  locate: () => Promise<string>;
  tls?: RedisTls | undefined;
  /** A connection that is not made by then is given up (milliseconds). */
  timeoutMs: number;
  clock: Pick<System, "schedule" | "random">;
  /** The connection is made, but not in use yet. Rejects if it is of no use. */
  prepare?: (connection: Connection) => Promise<void>;
  onReady: () => void;
  onLost: (why: Error) => void;
}

/** The name of its host has to be resolved, the login checked, and for TLS much computed: longer than a command may take. */
const openingTimeouts = 3;

/** One try to connect, and the connection that came of it. */
interface Attempt {
  url?: string;
  connection?: Connection;
  isReady: boolean;
}

export class Link {
  readonly #options: LinkOptions;
  #attempt: Attempt | undefined;
  /** Tries in a row that did not succeed. */
  #failures = 0;
  #cancel = () => {};

  constructor(options: LinkOptions) {
    this.#options = options;
    void this.#open();
  }

  /** `undefined` while there is none. */
  get connection(): Connection | undefined {
    return this.#attempt?.isReady ? this.#attempt.connection : undefined;
  }

  /** Where the connection leads. */
  get url(): string {
    return this.#attempt?.url ?? "";
  }

  close(): void {
    this.#cancel();
    this.#attempt?.connection?.destroy();
    this.#attempt = undefined;
  }

  async #open(): Promise<void> {
    const { timeoutMs, clock, locate, prepare, onReady } = this.#options;
    const attempt: Attempt = { isReady: false };
    this.#attempt = attempt;
    this.#cancel = clock.schedule(openingTimeouts * timeoutMs, () =>
      this.#lose(attempt, new Error("no answer in time")),
    );
    try {
      const url = await locate();
      if (attempt !== this.#attempt) return;
      attempt.url = url;
      attempt.connection = this.#createConnection(url, attempt);
      await attempt.connection.connect();
      await prepare?.(attempt.connection);
    } catch (error) {
      return this.#lose(attempt, error instanceof Error ? error : new Error(String(error)));
    }
    if (attempt !== this.#attempt) return;
    this.#cancel();
    this.#failures = 0;
    attempt.isReady = true;
    onReady();
  }

  #createConnection(url: string, attempt: Attempt): Connection {
    const { tls, timeoutMs } = this.#options;
    const connection = createClient({
      url,
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: "disabled",
      // The client's own timeout covers only what is not yet written, and costs an AbortSignal for each command.
      commandOptions: { timeout: 0 },
      socket: { ...tls, connectTimeout: timeoutMs, reconnectStrategy: false },
    }) as Connection;
    connection.on("error", (error: Error) => this.#lose(attempt, error));
    // A cluster ends subscriptions to channels whose slot has another master now.
    connection.on("sharded-channel-moved", () =>
      this.#lose(attempt, new Error("MOVED the subscribed channels")),
    );
    return connection;
  }

  #lose(attempt: Attempt, why: Error): void {
    if (attempt !== this.#attempt) return;
    const { clock, onLost } = this.#options;
    this.#attempt = undefined;
    this.#cancel();
    attempt.connection?.destroy();
    // With jitter, or all nodes connect again at the same moment.
    const waitMs = Math.min(50 * 2 ** this.#failures, 1000) * (0.5 + clock.random() / 2);
    this.#failures += 1;
    this.#cancel = clock.schedule(waitMs, () => void this.#open());
    onLost(why);
  }
}
