/** What the local camera and microphone are to the page: what can be done with them, and what comes of it. */

/** An element that plays sound. */
export interface Player {
  /** Missing where the browser has no choice of speakers. */
  setSinkId?: (id: string) => Promise<void>;
}

export type Kind = "video" | "audio";

/** What the page wants of a camera and a microphone. */
export type Wishes = Pick<MediaStreamConstraints, Kind>;

/** Why there is no camera, microphone, speaker or screen. `cause` is what the browser threw. */
export type CameraError =
  /** The user or the system has denied access. */
  | { kind: "denied"; cause: unknown }
  /** No such device is connected. */
  | { kind: "not-found"; cause: unknown }
  /** Another program uses the device, or the hardware failed. */
  | { kind: "in-use"; cause: unknown }
  /** The page was loaded over plain HTTP from another machine; browsers hide media devices from such pages. */
  | { kind: "insecure-context"; cause: unknown }
  /** No device meets the constraints: `constraint` is the name of one that none meets, where the browser tells. */
  | { kind: "overconstrained"; cause: unknown; constraint?: string }
  /** The signal of `open` was aborted; `cause` is its reason. Devices that open later have been closed again. */
  | { kind: "aborted"; cause: unknown }
  /** There is no other camera to `flip` to. */
  | { kind: "only-one"; cause: undefined }
  /** The browser cannot capture screens, or has no choice of speakers. */
  | { kind: "unsupported"; cause: undefined }
  /** What was given to `setProcessor` threw, took too long, or returned no live track. No picture is sent. */
  | { kind: "processor"; cause: unknown }
  /** `close`, or a later `open` of other kinds or `choose`, was called before the devices opened. They have been closed again. */
  | { kind: "superseded"; cause: undefined }
  /** The peer stream that the camera belongs to has been closed. */
  | { kind: "closed"; cause: undefined }
  | { kind: "unknown"; cause: unknown };

export type CameraResult = { ok: true; stream: MediaStream } | { ok: false; error: CameraError };

/** The result of a change of what is sent, or of the speaker. */
export type SourceResult = { ok: true } | { ok: false; error: CameraError };

/** A camera, microphone or speaker. Labels are empty until the user has granted access to one. */
export interface Device {
  id: string;
  label: string;
}

/** The available devices, and those in use. */
export interface Devices {
  cameras: Device[];
  microphones: Device[];
  /** Empty where the browser does not list them. */
  speakers: Device[];
  /** The ids of the devices in use, if any; and of the speaker that was chosen. */
  camera?: string;
  microphone?: string;
  speaker?: string;
}

/** What a camera reports. */
export type CameraEvent =
  /** Another stream than before; undefined after `close`. `opened`: because the page called `open`. */
  | { type: "stream"; stream: MediaStream | undefined; opened?: true }
  /** A device was connected or disconnected: `devices()` has a new result. */
  | { type: "devices" }
  /** A device was disconnected and no other could replace it. The next one that is connected is opened automatically. */
  | { type: "lost"; error: CameraError }
  /** What was given to `setProcessor` has failed, so the picture is missing from the stream. */
  | { type: "processor-failed"; error: CameraError };

/**
 * The user's camera and microphone: selectable, remembered, and replaced automatically when one is disconnected during a
 * call.
 */
export interface Camera {
  /** What is open now. */
  readonly stream: MediaStream | undefined;
  /**
   * Opens both, or one of the two (`{ video: false }`), as the constraints say: those of `getUserMedia`, which hold for later devices as well,
   * until the next `open`. What they leave open is chosen here, such as the remembered device. The browser asks for permission if necessary. While
   * the same is being opened it is not asked again: all callers get the same result. If it fails, what was open remains. Never rejects.
   */
  open(constraints?: Wishes, options?: { signal?: AbortSignal | undefined }): Promise<CameraResult>;
  /**
   * Switches to other devices, and remembers them. Undefined if no device of these kinds is open now. Never rejects.
   */
  choose(choice: Choice): Promise<CameraResult | undefined>;
  /**
   * Switches to the camera on the other side of a phone, or else to the next one, and remembers it. If that does not open, the first one is
   * opened again. Undefined if no camera is open. Never rejects.
   */
  flip(): Promise<CameraResult | undefined>;
  /**
   * Plays the sound of an element on a speaker and remembers that; without `id` on the one that was chosen last, if it is connected. The
   * error is `unsupported` where the browser has no choice of speakers. Never rejects.
   */
  setSpeaker(element: Player, id?: string): Promise<SourceResult>;
  /** The available devices. Never rejects. */
  devices(): Promise<Devices>;
  subscribe(listener: (event: CameraEvent) => void): () => void;
  /** Closes the devices. `open` opens them again. */
  close(): void;
}

/** A camera with the methods of its owner. */
export interface OwnedCamera extends Camera {
  /** Closes the devices of these kinds, and opens none for them until they are restored. */
  release(kinds: readonly Kind[]): void;
  /** Opens released devices again, if the page wants them open. Undefined if there are none. Never rejects. */
  restore(kinds: readonly Kind[]): Promise<CameraResult | undefined>;
  /** Closes the devices permanently: from now on `open` and `choose` return the error `closed`. */
  dispose(): void;
}

/** Device ids. */
export interface Choice {
  camera?: string;
  microphone?: string;
  speaker?: string;
}

/** The required part of `navigator.mediaDevices`, which is undefined in insecure contexts; without `getDisplayMedia` on phones. */
export type MediaSource = Pick<
  MediaDevices,
  "getUserMedia" | "enumerateDevices" | "addEventListener" | "removeEventListener"
> &
  Partial<Pick<MediaDevices, "getDisplayMedia">>;

/** What a camera is made of. */
export interface CameraParts {
  source: MediaSource | undefined;
  /** Creates a stream of tracks. */
  stream(tracks: MediaStreamTrack[]): MediaStream;
  /** Stores the chosen devices: `localStorage` is suitable. */
  storage: Pick<Storage, "getItem" | "setItem"> | undefined;
}
