/** What the frame expects of a page, and what most pages need: content that is read, and read again. */

/** @import { App } from "../main.js" */
/** @import { Shortcut } from "./keys.js" */

export class Page {
  title = "";
  /** @type {any} */ error = null;
  isLoading = true;
  isReadingMore = false;
  /** @type {AbortController | undefined} */ #reading;
  /** @type {(() => void)[]} */ #ends = [];

  /** @param {App} app */
  constructor(app) {
    this.app = app;
  }

  /** The page is shown. */
  enter() {
    void this.reload();
  }

  /** Another page is shown. */
  leave() {
    this.#reading?.abort();
    for (const end of this.#ends) end();
  }

  /** The query has changed. */
  filtered() {
    this.isLoading = true;
    void this.reload();
  }

  /** @param {() => void} end called when the page is left */
  until(end) {
    this.#ends.push(end);
  }

  /**
   * Read the content. Override it.
   * @param {AbortSignal} _signal
   */
  async read(_signal) {}

  /** The keys of this page. @returns {Shortcut[]} */
  get shortcuts() {
    return [];
  }

  /** @returns {unknown} */
  view() {
    return null;
  }

  reload = async () => {
    this.#reading?.abort();
    const reading = (this.#reading = new AbortController());
    this.isReadingMore = false;
    try {
      await this.read(reading.signal);
      this.error = null;
    } catch (error) {
      if (reading.signal.aborted) return;
      this.error = error;
    }
    if (reading.signal.aborted) return;
    this.isLoading = false;
    this.app.draw();
  };

  /**
   * Do the user's action, and show its outcome, unless the page shows it.
   * @param {() => Promise<unknown>} action
   * @param {string | (() => string)} [done]
   * @param {AbortSignal} [signal] after it, nothing is said
   */
  async act(action, done, signal) {
    try {
      await action();
      if (done) this.app.say(typeof done === "string" ? done : done());
      return true;
    } catch (/** @type {any} */ error) {
      if (!signal?.aborted) this.app.say(error.detail ? `${error.title}. ${error.detail}` : (error.message ?? "It failed"), "error");
      return false;
    }
  }

  /**
   * Show more of a list. A second click does nothing while the first one reads: both would show the same part. The next part
   * follows the present content, so the signal ends it when that is read again, perhaps by another filter, or the page is left.
   * @param {(signal: AbortSignal) => Promise<unknown>} read
   * @param {string} done
   */
  async showMore(read, done) {
    const signal = this.#reading?.signal;
    if (!signal || this.isReadingMore) return;
    this.isReadingMore = true;
    this.app.draw();
    await this.act(() => read(signal), done, signal);
    if (signal.aborted) return;
    this.isReadingMore = false;
    this.app.draw();
  }
}
