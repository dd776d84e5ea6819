/** The client in React Native: the entry `peer-stream-client/native`, which names what is given in place of a browser. */
import { deviceChoiceKey } from "./device-choice.ts";
import type { Lifecycle, LifecycleEvent, PlatformOptions } from "./platform.ts";
import { defaultTokenKey, type TokenStorage } from "./token-store.ts";

/**
 * What an app has, of `react-native-webrtc` and `react-native`. The parameters have the type `never`, because their declarations
 * differ from those of browsers, and from version to version.
 */
export interface NativeModules {
  RTCPeerConnection: new (configuration: never) => object;
  MediaStream: new () => object;
  mediaDevices: {
    getUserMedia(constraints: never): Promise<object>;
    enumerateDevices(): Promise<unknown>;
  };
  /** Without it the client does not notice that the app comes to the front again, and finds a dead socket some seconds later. */
  AppState?: {
    addEventListener(type: "change", listener: (state: string) => void): { remove(): void };
  };
  /** As `loadStorage` resolves with. Default: in memory, so that each start of the app is a new session. */
  storage?: TokenStorage;
}

/** Options for `createPeerStream` and `usePeerStream`, which need a whole `url` besides. */
export function nativePlatform({
  RTCPeerConnection: Connection,
  MediaStream: Stream,
  mediaDevices,
  AppState,
  storage = memory(),
}: NativeModules): Required<
  Pick<PlatformOptions, "rtc" | "media" | "lifecycle" | "storage" | "deviceStorage">
> {
  return {
    rtc: {
      connect: (configuration) => new Connection(configuration as never) as RTCPeerConnection,
      stream: () => new Stream() as MediaStream,
    },
    media: mediaDevices as never,
    lifecycle: lifecycleOf(AppState),
    storage,
    deviceStorage: storage,
  };
}

/** What `AppState` calls the states of an app, in words of the page lifecycle. `inactive` is a glance at something else. */
const events: Readonly<Record<string, LifecycleEvent>> = {
  background: "hidden",
  active: "visible",
};

function lifecycleOf(appState: NativeModules["AppState"]): Lifecycle {
  return {
    subscribe(listener) {
      let wasHidden = false;
      const subscription = appState?.addEventListener("change", (state: string) => {
        const event = events[state];
        if (event) listener(event);
        // The system may have suspended the app, and cut its sockets.
        if (event === "visible" && wasHidden) listener("resume");
        if (event) wasHidden = event === "hidden";
      });
      return () => subscription?.remove();
    },
  };
}

/** The required part of `@react-native-async-storage/async-storage`. */
export interface AsyncStorage {
  getItem(key: string): Promise<string | null>;
  setItem(key: string, value: string): Promise<unknown>;
}

/**
 * Reads what an asynchronous storage holds of an earlier run, so that the session is resumed; writes go through. Never rejects: what can't be
 * read or written is in memory only.
 *
 * @param storageKey - the option of this name, if it is set.
 */
export async function loadStorage(
  storage: AsyncStorage,
  storageKey = defaultTokenKey,
): Promise<TokenStorage> {
  const loaded = memory();
  for (const key of [storageKey, deviceChoiceKey]) {
    const value = await storage.getItem(key).catch(() => null);
    if (value !== null) loaded.setItem(key, value);
  }
  return {
    getItem: (key) => loaded.getItem(key),
    setItem(key, value) {
      loaded.setItem(key, value);
      storage.setItem(key, value).catch(() => {});
    },
  };
}

function memory(): TokenStorage {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
  };
}
