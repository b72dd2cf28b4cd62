/** Follow a job to its end, whatever happens to the network on the way. */

import { GaveUp, NotFound, isTransient } from "./errors.js";
import { backoff, jittered } from "./http.js";

/** @import { Http } from "./http.js" */
/** @import { AsyncJob } from "./job.js" */
/** @import { Connection, EventsOptions, Job, JobData, JobEvent, WaitOptions } from "./types.js" */

const GIVE_UP_MS = 300_000;
/** The last poll may take so long, although the wait is over. */
const LAST_POLL_MS = 5_000;
/** The longest time that the API holds a request. */
const HOLD_SECONDS = 20;
/** The pause after events that failed twice or were not held: too many requests of this owner wait. */
const NOT_LIVE_MS = 60_000;
/** The events that show all that they change. After any other one, the record is read. */
const SHOWN = ["created", "started", "progress", "released", "retried"];
/** Members that change although the job does not: heartbeats and estimates. */
const NO_NEWS = ["updatedAt", "estimatedEndAt", "recordExpiresAt", "queueDepth"];

/**
 * Yield the job, then each change of it; the last one has ended.
 * @param {Http} http
 * @param {AsyncJob} first
 * @param {WaitOptions & { live?: boolean }} [options]
 */
export async function* updates(http, first, options = {}) {
  const { giveUpMs = GIVE_UP_MS, signal, onConnection, cancelOnGiveUp } = options;
  const { clock } = http;
  const began = clock.now();
  const left = () => began + giveUpMs - clock.now();
  let job = first;
  let { pollAt } = job;
  let failures = 0;
  let liveAt = (options.live ?? http.live) ? began : Infinity;
  /** @type {Connection | undefined} */
  let connection;
  if (job.data) yield job;
  if (job.ended) return;
  for (;;) {
    const isLive = Boolean(job.data?.seq) && clock.now() >= liveAt && left() > 0;
    const before = connection;
    connection = isLive ? "live" : "polling";
    if (connection !== before) onConnection?.(connection);
    if (isLive) {
      try {
        const { events, isComplete, isHeld } = await eventsAfter(http, job, job.data?.seq ?? 0, left(), signal);
        for (const event of events) {
          if (!SHOWN.includes(event.type)) continue;
          job = job.changed(event);
          yield job;
        }
        failures = 0;
        if (isComplete) continue;
        if (isHeld) pollAt = clock.now();
        else liveAt = clock.now() + NOT_LIVE_MS;
      } catch (/** @type {any} */ error) {
        if (signal?.aborted) throw error;
        if (error instanceof NotFound && !error.code) {
          liveAt = Infinity; // The server has no such route.
        } else if (isTransient(error)) {
          failures += 1;
          if (failures > 1) liveAt = clock.now() + NOT_LIVE_MS;
          else pollAt = clock.now() + backoff(0);
        } else throw error;
      }
    }
    // The last poll is at the limit: the job may just have ended.
    await clock.sleep(Math.max(0, Math.min(pollAt - clock.now(), left())), signal);
    const isLast = left() <= 0;
    try {
      const headers = job.etag ? { "if-none-match": job.etag } : undefined;
      const timeoutMs = Math.min(http.timeoutMs, Math.max(left(), LAST_POLL_MS));
      const found = await job.send("GET", "", { headers, signal, timeoutMs, retries: 0 });
      const isNews = differs(found.data, job.data);
      job = found;
      pollAt = job.pollAt > clock.now() ? job.pollAt : clock.now() + jittered(fixedPause(clock.now() - began));
      if (!isLive) failures = 0;
      if (isNews) yield job;
    } catch (/** @type {any} */ error) {
      // A poll that fails is not the end of the wait.
      if (signal?.aborted || !isTransient(error)) throw error;
      pollAt = clock.now() + (error.retryAfterMs === undefined ? backoff(failures) : jittered(error.retryAfterMs));
      failures += 1;
    }
    if (job.ended) return;
    if (isLast) {
      if (cancelOnGiveUp) await job.cancel({ signal });
      throw new GaveUp(`The job had not ended after ${giveUpMs} ms. It goes on`, /** @type {Job} */ (job));
    }
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
      if (found.isComplete) continue;
      // The log may lack the end; the record does not.
      const record = await job.refresh({ signal });
      if (record.ended && after >= (record.data?.seq ?? 0)) return;
      if (!found.isHeld) await http.clock.sleep(Math.max(0, record.pollAt - http.clock.now()), signal);
    } catch (/** @type {any} */ error) {
      if (signal?.aborted || !isTransient(error)) throw error;
      await http.clock.sleep(error.retryAfterMs ?? backoff(failures), signal);
      failures += 1;
    }
  }
}

/**
 * Return the events after a number, as soon as there is one. They are complete if they show all that has changed.
 * @param {Http} http
 * @param {AsyncJob} job
 * @param {number} after
 * @param {number} leftMs
 * @param {AbortSignal | null} [signal]
 */
async function eventsAfter(http, job, after, leftMs, signal) {
  const wait = Math.min(HOLD_SECONDS, Math.ceil(leftMs / 1000));
  const timeoutMs = Math.max(http.timeoutMs, wait * 1000 + LAST_POLL_MS);
  const { data, headers } = await job.request("GET", "/events", { query: { after, wait }, signal, timeoutMs, retries: 0 });
  /** @type {JobEvent[]} */
  const events = data.events.filter((/** @type {JobEvent} */ event) => event.seq > after);
  const isComplete = events.length > 0 && events.every(({ type }) => SHOWN.includes(type));
  return { events, isComplete, isHeld: events.length > 0 || /wait=[1-9]/.test(headers.get("preference-applied") ?? "") };
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
  const news = (/** @type {JobData | null} */ data) => JSON.stringify({ ...data, ...Object.fromEntries(NO_NEWS.map((name) => [name, 0])) });
  return !known || (found !== known && news(found) !== news(known));
}
