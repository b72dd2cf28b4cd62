/** Follow the list of a user's jobs for a page. */

import { isTransient } from "./errors.js";
import { pauseAfter } from "./http.js";
import { Changes } from "./live.js";
import { SHOWN } from "./waiting.js";
import { Watch } from "./watch.js";

/** @import { Http } from "./http.js" */
/** @import { AsyncJob } from "./job.js" */
/** @import { Client, Job, JobEvent, ListOptions } from "./types.js" */
/** @import { Followed } from "./watch.js" */

/** The list is read no more often, whatever happens. */
const LIST_MS = 2_000;
/** The pauses between two polls while a job in the list runs, and while none does. */
const POLL_MS = 10_000;
const IDLE_POLL_MS = 30_000;
/** The pause after the WebSocket failed twice. */
const NOT_LIVE_MS = 60_000;
/** How long the list may stay unread while no change comes. */
const SILENT_MS = 60_000;
/** A filter may find nothing for long. Then the rest of the list is not read. */
const PAGES = 3;

/**
 * @typedef {object} Listed
 * @property {Job[]} jobs
 * @property {boolean} hasMore whether there are, or may be, further jobs
 * @property {boolean} isRead whether the list has been read at all
 *
 * @typedef {(news: Partial<Listed & Followed>) => void} Set
 */

/**
 * The newest jobs of the user.
 * @extends {Watch<Listed>}
 */
export class JobsWatch extends Watch {
  #failures = 0;
  #liveAt = 0;

  /**
   * @param {Client} client
   * @param {Omit<ListOptions, "signal"> & { limit: number }} options
   */
  constructor(client, options) {
    super({ jobs: [], hasMore: false, isRead: false });
    this.client = client;
    this.options = options;
    /** @type {Http} */
    this.http = /** @type {any} */ (client).http;
  }

  /**
   * @param {Set} set
   * @param {AbortSignal} signal
   */
  async follow(set, signal) {
    const { clock } = this.http;
    const changes = new Changes(this.http);
    try {
      for (let failures = 0; ; ) {
        const readAt = clock.now();
        try {
          set({ ...(await this.#list(signal)), isRead: true });
          failures = 0;
        } catch (/** @type {any} */ error) {
          if (signal.aborted || !isTransient(error)) throw error;
          await clock.sleep(Math.max(LIST_MS, pauseAfter(error, failures)), signal);
          failures += 1;
          continue;
        }
        await this.#untilStale(changes, set, signal);
        await clock.sleep(Math.max(0, readAt + LIST_MS - clock.now()), signal);
      }
    } finally {
      changes.close();
    }
  }

  /** @param {AbortSignal} signal */
  async #list(signal) {
    const { limit, ...filters } = this.options;
    /** @type {Job[]} */
    const found = [];
    let pages = 0;
    // One more shows whether there are others.
    for await (const page of this.client.pages({ ...filters, limit: limit + 1, signal })) {
      found.push(...page);
      if (++pages === PAGES) break;
    }
    return { jobs: found.slice(0, limit), hasMore: found.length > limit || pages === PAGES };
  }

  /**
   * Show the changes that come, until the list has to be read again.
   * @param {Changes} changes
   * @param {Set} set
   * @param {AbortSignal} signal
   */
  async #untilStale(changes, set, signal) {
    const { clock, live } = this.http;
    while (live && clock.now() >= this.#liveAt) {
      try {
        set({ connection: "live" });
        const events = await changes.pushed(undefined, SILENT_MS, signal);
        if (!events) this.#liveAt = Infinity;
        else if (!this.#show(events, set)) return;
        this.#failures = 0;
      } catch (/** @type {any} */ error) {
        if (signal.aborted || !isTransient(error)) throw error;
        if (this.#failures > 0) this.#liveAt = clock.now() + NOT_LIVE_MS;
        this.#failures += 1;
        return clock.sleep(pauseAfter(error, 0), signal);
      }
    }
    set({ connection: "polling" });
    const isIdle = this.snapshot().jobs.every(({ ended }) => ended);
    await clock.sleep(isIdle ? IDLE_POLL_MS : POLL_MS, signal);
  }

  /**
   * Show changes of jobs that keep their status. Return whether these are all: any other one changes the list.
   * @param {JobEvent[]} events
   * @param {Set} set
   */
  #show(events, set) {
    const jobs = /** @type {AsyncJob[]} */ (/** @type {unknown} */ ([...this.snapshot().jobs]));
    const areShown = events.map((event) => {
      const index = jobs.findIndex(({ id }) => id === event.asyncJobId);
      const job = jobs[index];
      if (!job || job.status !== event.status || !SHOWN.includes(event.type)) return false;
      // Messages may arrive twice, or late.
      if (event.seq > (job.data?.seq ?? 0)) {
        jobs[index] = job.changed(event);
        set({ jobs: /** @type {Job[]} */ (/** @type {unknown} */ ([...jobs])) });
      }
      return true;
    });
    return events.length > 0 && !areShown.includes(false);
  }
}
