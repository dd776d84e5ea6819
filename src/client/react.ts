/** The client as a React hook: the entry `peer-stream-client/react`. */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { FactsDeclaration } from "../protocol/declaration.ts";
import { createPeerStream, type PeerStreamOptions } from "./peer-stream.ts";
import { sameState, type PeerStreamEvent, type PeerStreamState } from "./state.ts";
import type { PeerStream } from "./types.ts";

export interface UsePeerStreamOptions extends PeerStreamOptions {
  /** Called with every event, such as a chat message; always the function of the latest render. */
  onEvent?: (event: PeerStreamEvent) => void;
}

/** What `usePeerStream` returns. */
export interface UsedPeerStream<Declared extends FactsDeclaration = FactsDeclaration> {
  readonly state: PeerStreamState;
  /** What the user's own camera and microphone give; undefined while they are closed. */
  readonly local: MediaStream | undefined;
  /**
   * The peer stream. It stays the same object, with the same methods, from the first render on, so that it may be a dependency
   * of effects; another `url` or `storageKey` makes another one.
   */
  readonly peer: PeerStream<Declared>;
}

/**
 * A peer stream that lives as long as the component: it is idle until `peer.start()`, and closed, with its camera, when the
 * component is unmounted or hidden by `<Activity>`. Both renders and both runs of effects in StrictMode have the same one.
 *
 * `url` and `storageKey` may change: the peer stream is closed, and another one takes its place. `auth` and `onEvent` are those of the
 * latest render, the other options those of the render that made the peer stream. On a server the state is `idle`.
 *
 * @throws TypeError if `url` is malformed.
 */
export function usePeerStream<Declared extends FactsDeclaration = FactsDeclaration>(
  options: UsePeerStreamOptions = {},
): UsedPeerStream<Declared> {
  const latest = useRef(options);
  const create = (given: UsePeerStreamOptions) =>
    createOwnPeer({ ...given, auth: () => authOf(latest.current) });
  const [own, setOwn] = useState(() => create(options));
  if (own.url !== options.url || own.storageKey !== options.storageKey) setOwn(create(options));

  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    // Effects that run again, long after they were cleaned up, belong to a component that was hidden.
    if (!own.hold()) setOwn(create(latest.current));
    const stopEvents = own.peer.onEvent((event) => latest.current.onEvent?.(event));
    return () => {
      stopEvents();
      own.release();
    };
  }, [own]);

  const { state, local } = useSyncExternalStore(own.subscribe, own.snapshot, idleSnapshot);
  return { state, local, peer: own.peer };
}

function authOf({ auth }: UsePeerStreamOptions) {
  return typeof auth === "function" ? auth() : auth;
}

type Snapshot = Pick<UsedPeerStream, "state" | "local">;

const idle: Snapshot = Object.freeze({ state: { status: "idle" }, local: undefined });
const idleSnapshot = () => idle;

/** The peer stream of one component. */
interface OwnPeer {
  readonly url: string | undefined;
  readonly storageKey: string | undefined;
  readonly peer: PeerStream;
  /** Keeps it open until `release`; false if it is closed already. */
  hold(): boolean;
  release(): void;
  subscribe(notify: () => void): () => void;
  /** The same object as long as nothing has changed. */
  snapshot(): Snapshot;
}

/** Opens nothing and registers nothing, as React may discard the render that calls it. */
function createOwnPeer(options: UsePeerStreamOptions): OwnPeer {
  const peer = createPeerStream(options);
  let holders = 0;
  let isClosed = false;
  let last = idle;

  function closeUnheld(): void {
    if (holders > 0 || isClosed) return;
    isClosed = true;
    peer.close();
  }

  return {
    url: options.url,
    storageKey: options.storageKey,
    peer,
    hold() {
      holders += 1;
      return !isClosed;
    },
    release() {
      holders -= 1;
      // StrictMode cleans up and runs effects again in one turn: only what is not held after it has been unmounted.
      queueMicrotask(closeUnheld);
    },
    subscribe(notify) {
      const stops = [peer.subscribe(notify), peer.camera.subscribe(notify)];
      return () => {
        for (const stop of stops) stop();
      };
    },
    snapshot() {
      const { state, camera } = peer;
      const local = camera.stream;
      // A new peer stream is idle as on a server, so that hydration renders nothing anew.
      if (local !== last.local || !sameState(state, last.state)) last = { state, local };
      return last;
    },
  };
}
