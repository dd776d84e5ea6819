/** The console of moderators, at `/admin`. */
import { createPage, type Page, type PageOptions } from "../http/page.ts";
import bundle from "../web/console.html";

/** The page and its assets. They are read or bundled when they are asked for first, as few processes are asked. */
export function createConsole(options: Pick<PageOptions, "production">): Page {
  let page: Promise<Page> | undefined;
  return async (request) => {
    page ??= createPage(bundle, { ...options, at: "/admin" });
    try {
      return await (
        await page
      )(request);
    } catch (error) {
      page = undefined;
      throw error;
    }
  };
}
