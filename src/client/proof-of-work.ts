/**
 * Solves a proof of work (ALTCHA with PBKDF2, https://altcha.org/docs/v2/): counts until the key that is derived from the count begins
 * as the challenge says. The hashing is WebCrypto's.
 */

/** The parameters of a challenge that matter here. `nonce`, `salt` and `keyPrefix` in hexadecimal. */
export interface WorkParameters {
  nonce: string;
  salt: string;
  keyPrefix: string;
  /** Iterations of PBKDF2 per try. */
  cost: number;
  /** Bytes of the derived key. */
  keyLength: number;
}

export interface WorkSolution {
  counter: number;
  /** In hexadecimal. */
  derivedKey: string;
}

/**
 * Rejects where there is no WebCrypto, as on pages over plain HTTP. It refers to nothing outside itself, because a worker is made of its
 * source.
 *
 * @param breatheMs - on a page's own thread: after so much work it lets everything else run.
 */
export async function solveWork(
  { nonce, salt, keyPrefix, cost, keyLength }: WorkParameters,
  breatheMs = Infinity,
  signal?: AbortSignal,
): Promise<WorkSolution> {
  const bytesOf = (hex: string) =>
    Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const name = "PBKDF2";
  const derivation = { name, hash: "SHA-256", salt: bytesOf(salt), iterations: cost };
  const password = new Uint8Array([...bytesOf(nonce), 0, 0, 0, 0]);
  const count = new DataView(password.buffer, password.length - 4);
  let breathedAt = performance.now();
  for (let counter = 0; ; counter++) {
    count.setUint32(0, counter);
    const key = await crypto.subtle.importKey("raw", password, name, false, ["deriveBits"]);
    const bits = await crypto.subtle.deriveBits(derivation, key, 8 * keyLength);
    const derivedKey = Array.from(new Uint8Array(bits), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join("");
    if (derivedKey.startsWith(keyPrefix)) return { counter, derivedKey };
    if (performance.now() - breathedAt < breatheMs) continue;
    await new Promise((resolve) => setTimeout(resolve));
    if (signal?.aborted) throw new Error("the search was aborted");
    breathedAt = performance.now();
  }
}

/** What a worker is sent and sends, for `serveSolver`. */
interface SolverScope {
  onmessage: ((event: { data: WorkParameters }) => void) | null;
  postMessage(solution: WorkSolution | undefined): void;
}

/**
 * Makes a worker a solver: all that the worker's script has to call where a page's Content-Security-Policy allows no workers of Blobs.
 * See the option `challengeWorker`.
 */
export function serveSolver(scope = globalThis as unknown as SolverScope): void {
  scope.onmessage = ({ data }) =>
    void solveWork(data).then(
      (solution) => scope.postMessage(solution),
      () => scope.postMessage(undefined),
    );
}

/** Creates a solver from this module's own code: needs no file, but `worker-src blob:` where the page has a policy. */
export function createBlobWorker(): Worker {
  const code = `const solve = ${solveWork};
onmessage = ({ data }) => solve(data).then(postMessage, () => postMessage(undefined));`;
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    return new Worker(url);
  } finally {
    // A worker that has been created keeps what it is loading (File API, 8.4).
    URL.revokeObjectURL(url);
  }
}
