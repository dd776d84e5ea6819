/** What the engine in Redis tells of its commands: known without that engine, which is loaded only where there is Redis. */

/** Is told what becomes of commands. Its methods must neither throw nor wait. */
export interface RedisMeter {
  /** A command has been answered, or not in time, after so long (milliseconds). @param script the name of the one that it has run. */
  answered(afterMs: number, script: string | undefined): void;
  /** A command had no answer in time, no connection, or an error for an answer. */
  failed(): void;
  /** The connection for commands was lost, and has been made again. */
  reconnected(): void;
}
