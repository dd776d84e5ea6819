/** Before each key and channel, unless a site has one of its own. */
export const keyPrefix = "peer-stream:";
