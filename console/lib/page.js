/** What the frame expects of a page, and what most pages need: content that is read, and read again. */

/** @import { App } from "../main.js" */
/** @import { Shortcut } from "./keys.js" */

export class Page {
  title = "";
  /** @type {any} */ error = null;
  isLoading = true;
  /** @type {AbortController | undefined} */ #reading;
  /** @type {Promise<void> | undefined} */ #read;
  /** The part of a list that the user has requested, until it is shown. @type {{ reading: AbortController, ended: Promise<unknown> } | null} */ #more = null;
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
    this.#endMore();
    for (const end of this.#ends) end();
  }

  /** The query has changed. */
  filtered() {
    this.isLoading = true;
    this.#endMore();
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

  /** Read the content again, after the part of it that the user has requested. */
  reload = () => (this.#read = this.#readAgain());

  /** Read again what changes by itself. While the user has paused that, the page stands still. */
  refresh = () => {
    const { paused } = this.app.live;
    if (paused.aborted) return;
    void this.reload();
    const reading = this.#reading;
    // A first read goes on, since the page has nothing to show.
    paused.addEventListener("abort", () => this.isLoading || reading?.abort(), { signal: reading?.signal });
  };

  /**
   * Refresh the page at intervals while its tab is shown.
   * @param {number} ms
   * @param {() => boolean} [isDue]
   */
  refreshEvery(ms, isDue = () => true) {
    const timer = setInterval(() => document.hidden || !isDue() || this.refresh(), ms);
    this.until(() => clearInterval(timer));
  }

  async #readAgain() {
    this.#reading?.abort();
    const reading = (this.#reading = new AbortController());
    await this.#more?.ended;
    if (reading.signal.aborted) return;
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
  }

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

  get isReadingMore() {
    return this.#more !== null;
  }

  /**
   * Show more of a list. A second click does nothing while the first one reads: both would show the same part. The next part
   * follows the present content, so it waits while that is read again, and ends by the signal with another filter or page.
   * @param {(signal: AbortSignal) => Promise<unknown>} read
   * @param {string} done
   */
  async showMore(read, done) {
    if (this.#more) return;
    const reading = new AbortController();
    const present = this.#read;
    const readNext = async () => {
      await present;
      await read(reading.signal);
    };
    const ended = this.act(readNext, done, reading.signal);
    this.#more = { reading, ended };
    this.app.draw();
    await ended;
    if (reading.signal.aborted) return;
    this.#more = null;
    this.app.draw();
  }

  #endMore() {
    this.#more?.reading.abort();
    this.#more = null;
  }
}
