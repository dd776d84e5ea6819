/** Where the session's token is kept, so that a reload keeps the session. */

/** The storage key of the token, unless the page sets another one. */
export const defaultTokenKey = "peer-stream.token";

/** The required part of the Web Storage API: `sessionStorage` is suitable. */
export type TokenStorage = Pick<Storage, "getItem" | "setItem">;

/** Stores the session's token. */
export interface TokenStore {
  read(): string | undefined;
  write(token: string): void;
}

/**
 * Creates a store that keeps the token in `storage` and in memory. Storage may be missing or may throw on any access
 * (blocked cookies, private windows, an exceeded quota). The session is then only not resumed after a reload.
 *
 * `sessionStorage` is the suitable storage, because a tab is a session. Neither `storage` nor `key` is used before the
 * first access.
 */
export function createTokenStore(
  storage: TokenStorage | undefined,
  key: () => string = () => defaultTokenKey,
): TokenStore {
  let inMemory: string | undefined;
  return {
    read() {
      if (inMemory !== undefined) return inMemory;
      try {
        return storage?.getItem(key()) ?? undefined;
      } catch {
        return undefined;
      }
    },
    write(token) {
      inMemory = token;
      try {
        storage?.setItem(key(), token);
      } catch {
        // The token remains in memory.
      }
    },
  };
}
