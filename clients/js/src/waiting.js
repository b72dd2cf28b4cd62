/** Follow a job to its end, whatever happens to the network on the way. */

import { GaveUp, NotFound, isTransient } from "./errors.js";
import { jittered, pauseAfter } from "./http.js";
import { Changes, eventsAfter } from "./live.js";

/** @import { Http } from "./http.js" */
/** @import { AsyncJob } from "./job.js" */
/** @import { Connection, EventsOptions, Job, JobData, JobEvent, WaitOptions } from "./types.js" */

const GIVE_UP_MS = 300_000;
/** The last poll may take so long, although the wait is over. */
const LAST_POLL_MS = 5_000;
/** The pause after changes that failed twice, or a request that was not held. */
const NOT_LIVE_MS = 60_000;
/** The events that show all that they change. After any other one, the record is read. */
export const SHOWN = ["created", "started", "progress", "released", "retried", "custom"];
/** Members that change although the job does not: heartbeats and estimates. */
const NO_NEWS = { updatedAt: 0, estimatedEndAt: 0, recordExpiresAt: 0, queueDepth: 0 };

/** @typedef {WaitOptions & { live?: boolean }} UpdatesOptions */

/**
 * Yield the job, then each change of it; the last one has ended.
 * @param {Http} http
 * @param {AsyncJob} first
 * @param {UpdatesOptions} [options]
 */
export function updates(http, first, options) {
  return new Wait(http, first, options).updates();
}

/** One wait for a job: its last state, and when to look for the next one. */
class Wait {
  /** Whether the changes that came last show all of the job. */
  #isCurrent = false;
  /** @type {Connection | undefined} */ #connection;
  #http;
  #job;
  #options;
  #pushes;
  #began;
  #giveUpMs;
  #failures = 0;
  #pollAt;
  #liveAt;

  /**
   * @param {Http} http
   * @param {AsyncJob} job
   * @param {UpdatesOptions} [options]
   */
  constructor(http, job, options = {}) {
    this.#http = http;
    this.#job = job;
    this.#options = options;
    this.#pushes = new Changes(http, job.id);
    this.#began = http.clock.now();
    this.#giveUpMs = options.giveUpMs ?? GIVE_UP_MS;
    this.#pollAt = job.pollAt;
    this.#liveAt = (options.live ?? http.live) ? this.#began : Infinity;
  }

  async *updates() {
    if (this.#job.data) yield this.#job;
    if (this.#job.ended) return;
    try {
      for (;;) {
        if (this.#isLive()) {
          // Messages may arrive twice, or late.
          for (const event of await this.#changes()) if (event.seq > this.#seq) yield this.#apply(event);
          if (this.#isCurrent) continue;
        }
        const isLast = await this.#pause();
        if (await this.#poll()) yield this.#job;
        if (this.#job.ended) return;
        if (isLast) throw await this.#gaveUp();
      }
    } finally {
      this.#pushes.close();
    }
  }

  get #seq() {
    return this.#job.data?.seq ?? 0;
  }

  get #left() {
    return this.#began + this.#giveUpMs - this.#http.clock.now();
  }

  /** Return whether changes come by themselves now, and report it. */
  #isLive() {
    // A server that numbers the states of its jobs has events.
    const isLive = this.#seq > 0 && this.#http.clock.now() >= this.#liveAt && this.#left > 0;
    const connection = isLive ? "live" : "polling";
    if (connection !== this.#connection) this.#options.onConnection?.(connection);
    this.#connection = connection;
    return isLive;
  }

  /** Wait for changes, and return those that show all of the job. A failure makes the wait read the record. */
  async #changes() {
    const { clock } = this.#http;
    const { signal } = this.#options;
    this.#isCurrent = false;
    try {
      const pushed = await this.#pushes.pushed(this.#seq, this.#left, signal);
      const { events, isHeld } = pushed ? { events: pushed, isHeld: true } : await eventsAfter(this.#http, this.#job, this.#seq, this.#left, signal);
      this.#failures = 0;
      this.#isCurrent = areShown(events);
      if (isHeld) this.#pollAt = clock.now();
      else this.#liveAt = clock.now() + NOT_LIVE_MS;
      return events.filter(({ type }) => SHOWN.includes(type));
    } catch (/** @type {any} */ error) {
      signal?.throwIfAborted();
      if (error.isFinal || (error instanceof NotFound && !error.code)) {
        this.#liveAt = Infinity; // The server has no such route.
      } else if (isTransient(error)) {
        const now = clock.now();
        const pause = pauseAfter(error, 0);
        if (this.#failures > 0) {
          this.#liveAt = now + Math.max(pause, NOT_LIVE_MS);
          this.#pollAt = Math.max(now + pause, this.#pollAt);
        } else this.#pollAt = now + pause;
        this.#failures += 1;
      } else throw error;
      return [];
    }
  }

  /** @param {JobEvent} event */
  #apply(event) {
    return (this.#job = this.#job.changed(event));
  }

  /** Wait until a poll is worthwhile. Return whether it is the last one: the job may just have ended. */
  async #pause() {
    this.#isLive();
    const pause = Math.min(this.#pollAt - this.#http.clock.now(), this.#left);
    await this.#http.clock.sleep(Math.max(0, pause), this.#options.signal);
    return this.#left <= 0;
  }

  /** Read the record, and return whether it has changed. A poll that fails is not the end of the wait. */
  async #poll() {
    const known = this.#job;
    const http = this.#http;
    const { signal } = this.#options;
    const headers = known.etag ? { "if-none-match": known.etag } : undefined;
    const timeoutMs = Math.min(http.timeoutMs, Math.max(this.#left, LAST_POLL_MS));
    try {
      this.#job = await known.send("GET", "", { headers, signal, timeoutMs, retries: 0 });
    } catch (/** @type {any} */ error) {
      signal?.throwIfAborted();
      if (!isTransient(error)) throw error;
      this.#pollAt = http.clock.now() + pauseAfter(error, this.#failures);
      // A server that named a pause gets no request for events before.
      if (error.retryAfterMs !== undefined) this.#liveAt = Math.max(this.#liveAt, this.#pollAt);
      this.#failures += 1;
      return false;
    }
    const now = http.clock.now();
    this.#pollAt = this.#job.pollAt > now ? this.#job.pollAt : now + jittered(fixedPause(now - this.#began));
    if (this.#connection === "polling") this.#failures = 0;
    return differs(this.#job.data, known.data);
  }

  async #gaveUp() {
    const { cancelOnGiveUp, signal } = this.#options;
    const gaveUp = new GaveUp(`The job had not ended after ${this.#giveUpMs} ms. It goes on`, /** @type {Job} */ (this.#job));
    if (cancelOnGiveUp) {
      // The job may have ended meanwhile, or the API is out of reach: the wait is over all the same.
      await this.#job.cancel({ signal }).catch((error) => {
        signal?.throwIfAborted();
        gaveUp.cause = error;
      });
    }
    return gaveUp;
  }
}

/**
 * Yield each event of the job once, to its end.
 * @param {Http} http
 * @param {AsyncJob} job
 * @param {EventsOptions} [options]
 */
export async function* events(http, job, { after = 0, signal } = {}) {
  for (let failures = 0; ; ) {
    try {
      const found = await eventsAfter(http, job, after, Infinity, signal);
      for (const event of found.events) {
        after = event.seq;
        yield event;
      }
      failures = 0;
      if (areShown(found.events)) continue;
      // The log may lack the end; the record does not.
      const record = await job.refresh({ signal });
      if (record.ended && after >= (record.data?.seq ?? 0)) return;
      if (!found.isHeld) await http.clock.sleep(Math.max(0, record.pollAt - http.clock.now()), signal);
    } catch (/** @type {any} */ error) {
      signal?.throwIfAborted();
      if (!isTransient(error)) throw error;
      await http.clock.sleep(pauseAfter(error, failures), signal);
      failures += 1;
    }
  }
}

/** @param {JobEvent[]} events */
function areShown(events) {
  return events.length > 0 && events.every(({ type }) => SHOWN.includes(type));
}

/**
 * Return the pause after an answer without `Retry-After`.
 * @param {number} waitedMs
 */
function fixedPause(waitedMs) {
  return waitedMs < 30_000 ? 2_000 : waitedMs < 120_000 ? 5_000 : 10_000;
}

/**
 * @param {JobData | null} found
 * @param {JobData | null} known
 */
function differs(found, known) {
  const news = (/** @type {JobData | null} */ data) => JSON.stringify({ ...data, ...NO_NEWS });
  return !known || news(found) !== news(known);
}
