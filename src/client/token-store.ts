/** Where the token is kept, unless the page says otherwise. */
export const defaultTokenKey = "peer-stream.token";

/** The part of the Web Storage API that is needed: `sessionStorage` fits. */
export type TokenStorage = Pick<Storage, "getItem" | "setItem">;

/** Keeps the session's token. */
export interface TokenStore {
  read(): string | undefined;
  write(token: string): void;
}

/**
 * Keeps the token in `storage`, and in memory as well: storage may be missing or throw on any use
 * (blocked cookies, private windows, a full quota), which must cost no more than the resuming of the
 * session after a reload. The fitting storage is `sessionStorage`, because a tab is a session. Neither `storage` nor
 * `key` is asked before the first use.
 */
export function createTokenStore(
  storage: TokenStorage | undefined,
  key: () => string = () => defaultTokenKey,
): TokenStore {
  let remembered: string | undefined;
  return {
    read() {
      if (remembered !== undefined) return remembered;
      try {
        return storage?.getItem(key()) ?? undefined;
      } catch {
        return undefined;
      }
    },
    write(token) {
      remembered = token;
      try {
        storage?.setItem(key(), token);
      } catch {
        // Memory has it; see above.
      }
    },
  };
}
