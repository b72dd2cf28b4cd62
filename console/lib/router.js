/** Pages by the path below the console's folder. Filters are the query: a link shows the same. */

import { ROOT } from "./config.js";

/** @typedef {{ path: string, parts: string[], query: URLSearchParams }} Place */

/** @returns {Place} */
export function place() {
  const path = location.pathname.slice(ROOT.pathname.length);
  return { path, parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(location.search) };
}

export class Router {
  /** @param {(isNew: boolean) => void} onMove with whether another page is shown, and not only another filter */
  constructor(onMove) {
    this.onMove = onMove;
    addEventListener("popstate", () => onMove(true));
    document.addEventListener("click", (event) => this.#click(event));
  }

  /** @param {string} to relative to the console's folder */
  go(to) {
    history.pushState(null, "", new URL(to, ROOT));
    this.onMove(true);
  }

  /**
   * Change the filters of the page. Without a value, a filter is left out.
   * @param {Record<string, string | undefined | null>} values
   */
  filter(values) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(values)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    history.replaceState(null, "", url);
    this.onMove(false);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = /** @type {HTMLAnchorElement | undefined} */ (event.composedPath().find((each) => each instanceof HTMLAnchorElement));
    if (!link || link.target || link.download || !link.href.startsWith(ROOT.href)) return;
    event.preventDefault();
    this.go(link.href);
  }
}
