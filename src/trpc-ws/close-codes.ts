/**
 * Why the server closes a socket (RFC 6455, 7.4.2: 4000–4999 are private). 4000–4499 mean reconnect; 4500–4999 mean do not.
 */
export const closeCodes = {
  /** The peer reads too slowly: what it was sent exceeds the limit. */
  slowConsumer: 4000,
  /** The server shuts down. */
  goingAway: 4001,
  /** The connection was not initialised in time: no first message, or no context. */
  initTimeout: 4002,
  /** What the client was authenticated by has expired, and it has not reconnected with anything newer. */
  expired: 4003,
  /** The operator ended the connection. */
  disconnected: 4004,
  /** The peer kept calling although it was refused. */
  tooManyRequests: 4500,
  /** The client speaks a version of the protocol that the server does not know. */
  wrongProtocol: 4501,
} as const;
