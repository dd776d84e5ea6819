/**
 * A page and its assets, with headers that isolate it: it loads only its own scripts, can't be framed, and shares no
 * browsing context with other pages.
 *
 * Bun could serve the imported bundle by itself, but its routes for bundles have no headers.
 */
import { basename, resolve } from "node:path";
import type { HTMLBundle } from "bun";

/** Answers a request for the page or one of its assets; `undefined` for anything else. */
export type Page = (request: Request) => Promise<Response | undefined>;

export interface PageOptions {
  /** Bundled once, minified. Otherwise each load of the page bundles it again, to show the latest changes. */
  production: boolean;
  /** The path of the page; its assets are under `<at>/page/`. Default: `/`, and assets beside it. */
  at?: string;
}

/** Where the page of strangers is. */
const home = "/";

interface Built {
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
  isPage: boolean;
}

interface File {
  bytes: Uint8Array<ArrayBuffer>;
  contentType: string;
  etag: string;
  isPage: boolean;
}

/** By the path each is served at. */
type Files = ReadonlyMap<string, File>;

/**
 * Makes the page ready to be served.
 * @param bundle an imported HTML file.
 * @throws if it can't be bundled.
 */
export async function createPage(bundle: HTMLBundle, options: PageOptions): Promise<Page> {
  const { files: builtAhead, index } = bundle;
  const { at = home } = options;
  const load = async () => place(await (builtAhead ? read(builtAhead) : build(index, options)), at);
  const mayChange = !builtAhead && !options.production;
  let files = await load();

  return async (request) => {
    const { pathname, protocol } = new URL(request.url);
    if (mayChange && pathname === at) files = await load();
    const file = files.get(pathname);
    if (!file) return undefined;
    const headers = new Headers({
      ...securityHeaders,
      "content-security-policy": contentSecurityPolicyFor(at),
      "permissions-policy": permissionsPolicyFor(at),
      // The name of an asset changes with its content, so copies never expire; the page contains the names.
      "cache-control": file.isPage ? cachingOf(at) : "public, max-age=31536000, immutable",
      etag: file.etag,
    });
    // A client that forges this header gets a header that it must ignore without TLS (RFC 6797, 8.1).
    const secure = protocol === "https:" || request.headers.get("x-forwarded-proto") === "https";
    if (secure) headers.set("strict-transport-security", "max-age=31536000");
    if (hasCopy(request.headers.get("if-none-match"), file.etag))
      return new Response(null, { status: 304, headers });
    headers.set("content-type", file.contentType);
    return new Response(file.bytes, { headers });
  };
}

/**
 * Content-Security-Policy, Level 3: nothing but the page's own files and this server. A worker is made at `home` only, of the script's own
 * URL, which the one policy of Trusted Types returns.
 */
const contentSecurityPolicyFor = (at: string) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `worker-src ${at === home ? "'self'" : "'none'"}`,
    // Of the same host and port, WebSockets too (CSP 3, 6.7.2.8). What a call plays is no URL, so no media-src.
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // What a stranger writes can't become markup, not even by a mistake of ours.
    "require-trusted-types-for 'script'",
    `trusted-types ${at === home ? "solver" : "'none'"}`,
  ].join("; ");

/** Permissions that the page does not use. */
const unusedPermissions = [
  "accelerometer",
  "bluetooth",
  "encrypted-media",
  "geolocation",
  "gyroscope",
  "hid",
  "magnetometer",
  "midi",
  "payment",
  "publickey-credentials-get",
  "screen-wake-lock",
  "serial",
  "usb",
  "xr-spatial-tracking",
];

/** Calls are made at `home` only. */
const permissionsPolicyFor = (at: string) =>
  [
    ...["camera", "microphone", "display-capture"].map(
      (name) => `${name}=${at === home ? "(self)" : "()"}`,
    ),
    ...unusedPermissions.map((name) => `${name}=()`),
  ].join(", ");

/** An operator's page leaves no copy behind. */
const cachingOf = (at: string) => (at === home ? "no-cache" : "no-store");

const securityHeaders = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  // For browsers without frame-ancestors.
  "x-frame-options": "DENY",
};

/**
 * The files by the paths that they are served at. A page elsewhere than at `/` names its assets relative to itself, as a host may have put it
 * under a prefix.
 */
function place(built: readonly Built[], at: string): Files {
  const folder = at === home ? "" : `${at}/page`;
  const assets = built.filter(({ isPage }) => !isPage).map(({ path }) => basename(path));
  return new Map(
    built.map(({ path, isPage, contentType, bytes }) => {
      const content = isPage && at !== home ? withAssetsIn(`.${folder}/`, bytes, assets) : bytes;
      const etag = `"${Bun.hash(content).toString(36)}"`;
      const file = { bytes: content, contentType, etag, isPage };
      return [isPage ? at : `${folder}/${basename(path)}`, file];
    }),
  );
}

function withAssetsIn(
  folder: string,
  html: Uint8Array<ArrayBuffer>,
  assets: readonly string[],
): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder().decode(html);
  const placed = text.replace(/\b(src|href)="(?:\.?\/)?([^"/]+)"/g, (found, attribute, name) =>
    assets.includes(name) ? `${attribute}="${folder}${name}"` : found,
  );
  return new TextEncoder().encode(placed);
}

/** What `bun build` has put beside the program, or into it. */
function read(parts: NonNullable<HTMLBundle["files"]>): Promise<Built[]> {
  const files = parts.map(async ({ path, loader, headers }) => ({
    path,
    isPage: loader === "html",
    contentType: headers["content-type"],
    // The paths are relative to the program, wherever it is started from.
    bytes: await Bun.file(resolve(import.meta.dir, path)).bytes(),
  }));
  return Promise.all(files);
}

/** Bundles the sources, in memory. */
async function build(index: string, { production }: PageOptions): Promise<Built[]> {
  const { outputs } = await Bun.build({
    entrypoints: [index],
    minify: production,
    splitting: true,
    publicPath: "/",
    naming: {
      entry: "[name]-[hash].[ext]",
      chunk: "[name]-[hash].[ext]",
      asset: "[name]-[hash].[ext]",
    },
  });
  const files = outputs.map(async (output) => ({
    path: output.path,
    isPage: output.path.endsWith(".html"),
    contentType: output.type,
    bytes: new Uint8Array(await output.arrayBuffer()),
  }));
  return Promise.all(files);
}

/** Whether `If-None-Match` (RFC 9110, 13.1.2) names this version; a proxy may have made the tag a weak one. */
function hasCopy(ifNoneMatch: string | null, etag: string): boolean {
  return (ifNoneMatch ?? "").split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}
