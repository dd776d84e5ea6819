/**
 * Loaded before tests that run as in React Native (react-native.test.ts): takes away the globals that it does not have, and what others
 * have not there. WebCrypto stays, which an app has to bring for proofs of work, and the classes of events, which the fakes are made of.
 */

const missing = [
  ..."window document navigator location localStorage sessionStorage Worker".split(" "),
  ..."RTCPeerConnection MediaStream addEventListener removeEventListener WebSocket".split(" "),
];
for (const name of missing) Reflect.deleteProperty(globalThis, name);
for (const name of ["timeout", "any"]) Reflect.deleteProperty(AbortSignal, name);
Reflect.deleteProperty(AbortSignal.prototype, "throwIfAborted");
for (const name of ["protocol", "username", "password", "pathname"]) {
  const get = Object.getOwnPropertyDescriptor(URL.prototype, name)?.get;
  if (get) Object.defineProperty(URL.prototype, name, { get });
}
