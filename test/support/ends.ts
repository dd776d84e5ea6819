/** Ends what the present test has begun. They are called after it, the latest first: see `cleanup.ts`. */
export const ends: (() => unknown)[] = [];
