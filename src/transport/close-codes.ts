/**
 * Why the server closes a socket (RFC 6455, 7.4.2: 4000–4999 are private). 4000–4499 mean come back, with
 * the session's token and last event id; 4500–4999 mean do not.
 */
export const closeCodes = {
  /** This peer reads too slowly to be told everything in order; on coming back it is told where it stands. */
  tooSlow: 4000,
  /** The node is leaving; another one, or its successor, takes over. */
  goingAway: 4001,
  /** It announced a first message, and did not send it in time. */
  mute: 4002,
  /** It called on and on though it was refused. */
  flooding: 4500,
} as const;
