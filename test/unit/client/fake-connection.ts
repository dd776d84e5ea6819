import type { Connection, ConnectionListener } from "../../../src/client/connection.ts";
import type { Answer, Input, MutationName } from "../../../src/client/mutations.ts";
import type { PeerStreamError } from "../../../src/client/state.ts";
import type {
  IceAnswer,
  CaseAnswer,
  IceServer,
  PeerEvent,
  PeerState,
  RejectionFields,
  RoomTerms,
} from "../../../src/protocol.ts";

interface Call {
  name: MutationName;
  input: Record<string, unknown>;
  answer(value: unknown): void;
  refuse(error: unknown): void;
  settled: boolean;
}

/** A connection whose server is the test: the test emits the events, and answers the recorded calls. */
export class FakeConnection implements Connection {
  readonly calls: Call[] = [];
  unloadLeaves = 0;
  closed = false;
  /** Answers every call immediately; false to let the test do that. */
  answering = true;
  #listener: ConnectionListener | undefined;

  /** Whether there is a stream of events. */
  get opened(): boolean {
    return this.#listener !== undefined;
  }

  open(listener: ConnectionListener): boolean {
    if (this.#listener) return false;
    this.#listener = listener;
    return true;
  }

  call<K extends MutationName>(name: K, input: Input<K>): Promise<Answer<K>> {
    return new Promise((resolve, reject) => {
      const call: Call = {
        name,
        input: input as Record<string, unknown>,
        settled: false,
        answer(value) {
          this.settled = true;
          resolve(value as Answer<K>);
        },
        refuse(error) {
          this.settled = true;
          reject(error);
        },
      };
      this.calls.push(call);
      if (this.answering) {
        const { input } = call;
        const kept = "offer" in input && input["offer"] !== null;
        call.answer({ status: "waiting", delivered: true, accepted: true, kept });
      }
    });
  }

  renewals = 0;
  renew(): void {
    this.renewals += 1;
  }

  /** The answer of the `iceServers` query. */
  fresh: () => Promise<IceServer[]> = () => Promise.reject(new Error("none"));
  /** All rooms are relay-only. */
  relayOnly = false;
  renewAfterMs: number | undefined;
  async iceServers(): Promise<IceAnswer> {
    const { relayOnly, renewAfterMs } = this;
    return {
      iceServers: await this.fresh(),
      ...(relayOnly && { relayOnly }),
      ...(renewAfterMs !== undefined && { renewAfterMs }),
    };
  }

  /** The answer of the `case` query. */
  decided: (caseId: string) => Promise<CaseAnswer> = async () => ({});
  caseOf(caseId: string): Promise<CaseAnswer> {
    return this.decided(caseId);
  }

  async counts(): Promise<never> {
    throw new Error("not used in these tests");
  }

  async site(): Promise<never> {
    throw new Error("not used in these tests");
  }

  sendLeaveOnUnload(): void {
    this.unloadLeaves += 1;
  }

  close(): void {
    this.closed = true;
  }

  /** The names of the recorded calls, in order. */
  get names(): string[] {
    return this.calls.map(({ name }) => name);
  }

  /** Removes the recorded calls, and returns them. */
  take(): Call[] {
    return this.calls.splice(0);
  }

  emit(event: PeerEvent): void {
    this.#listener?.event(event);
  }

  session(state: PeerState, resumed = true): void {
    this.emit({ type: "session", token: "token", resumed, state });
  }

  /** The socket drops: calls without an answer fail. */
  drop(): void {
    for (const call of this.calls) if (!call.settled) call.refuse(new Error("WebSocket closed"));
    this.#listener?.disconnected();
  }

  /** A new socket opens to replace the current one. */
  handOver(): void {
    this.#listener?.opened();
  }

  end(error: PeerStreamError): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.ended(error);
  }
}

/** A refusal as tRPC's client throws it. */
export function refusal(fields: RejectionFields): Error {
  return Object.assign(new Error("refused"), { data: { code: "X", ...fields } });
}

/** What a peer receives about a room. */
function terms(roomId: string): RoomTerms & { iceServers: [] } {
  return {
    roomId,
    polite: false,
    relayOnly: false,
    sharedInterests: ["chess"],
    partnerFacts: {},
    mode: "video",
    chat: "direct",
    media: { audio: true, video: true },
    proof: `proof of ${roomId}`,
    iceServers: [],
  };
}

export const createOffer = (roomId: string): PeerEvent => ({
  ...terms(roomId),
  type: "create-offer",
  polite: false,
});

export const paired = (roomId: string): PeerState => ({
  ...terms(roomId),
  status: "paired",
  partner: "here",
});
