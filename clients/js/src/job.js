/** A job, as an answer brought it, and what can be done with it. */

import { AsyncjobsError, JobCancelled, JobFailed, NotFound, checked, retryAfterMs } from "./errors.js";
import { jittered } from "./http.js";
import { openResult, readResult } from "./results.js";
import { save } from "./save.js";
import { events, updates } from "./waiting.js";

/** @import { Answer, Http, RequestOptions } from "./http.js" */
/** @import { EventsOptions, FollowOptions, Job, JobData, JobEvent, Report, SignalOption, WaitOptions } from "./types.js" */

/**
 * @typedef {object} Known
 * @property {JobData<any> | null} [data]
 * @property {string | null} [etag]
 * @property {number} [pollAt] the time, by the client's clock, from which a poll is worthwhile
 * @property {boolean} [replayed]
 */

export class AsyncJob {
  /** @type {Http} */ #http;

  /**
   * @param {Http} http
   * @param {string} id
   * @param {Known} [known]
   */
  constructor(http, id, { data = null, etag = null, pollAt = 0, replayed = false } = {}) {
    this.#http = http;
    this.id = id;
    this.data = data;
    // A log of the job has all but the secret of its worker.
    if (data?.workerToken) Object.defineProperty(data, "workerToken", { enumerable: false });
    this.etag = etag;
    this.pollAt = pollAt;
    this.replayed = replayed;
  }

  get status() {
    return this.data?.status;
  }

  get progress() {
    return this.data?.progress ?? 0;
  }

  get message() {
    return this.data?.message ?? null;
  }

  get error() {
    return this.data?.error ?? null;
  }

  get ended() {
    // Not a list of statuses: a later server may have more of them.
    return Boolean(this.data?.endedAt);
  }

  get workerToken() {
    return this.data?.workerToken;
  }

  /** @param {WaitOptions} [options] */
  updates(options) {
    return updates(this.#http, this, options);
  }

  /** @param {EventsOptions} [options] */
  events(options) {
    return events(this.#http, this, options);
  }

  /** @param {FollowOptions<any>} [options] */
  async wait({ onUpdate, ...options } = {}) {
    // Only for updates is a request held: it costs as much as many polls.
    const live = onUpdate ? undefined : false;
    /** @type {AsyncJob} */
    let last = this;
    for await (last of updates(this.#http, this, { live, ...options })) onUpdate?.(/** @type {any} */ (last));
    return last;
  }

  /** @param {FollowOptions<any>} [options] */
  async result(options) {
    const job = await this.wait(options);
    if (job.status === "CANCELLED") throw new JobCancelled("The job was cancelled", /** @type {Job} */ (job));
    if (job.status !== "COMPLETED") throw new JobFailed(/** @type {Job} */ (job));
    if (job.data?.resultType === "INLINE") return job.data.result;
    return readResult(await job.open(options));
  }

  /** @param {SignalOption} [options] */
  open(options) {
    return openResult(this.#http, this, options);
  }

  /**
   * @param {string} path
   * @param {SignalOption} [options]
   */
  async download(path, options) {
    return save(await this.open(options), path);
  }

  /** @param {SignalOption} [options] */
  async input(options) {
    return (await this.request("GET", "/input", options)).data;
  }

  /** @param {SignalOption} [options] */
  refresh(options) {
    return this.send("GET", "", options);
  }

  /** @param {SignalOption} [options] */
  cancel(options) {
    return this.send("POST", "/cancel", options);
  }

  /** @param {SignalOption} [options] */
  async retry(options) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.send("POST", "/retry", { ...options, retries: 0 });
      } catch (/** @type {any} */ error) {
        await this.#http.pause(error, attempt, options?.signal);
        if (error.status === 429) continue;
        // A second retry would be a second run. The record shows whether there was a first.
        const found = await this.refresh(options);
        if (!found.ended) return found;
        if (found.data?.updatedAt !== this.data?.updatedAt || found.data?.attempt !== this.data?.attempt) throw error;
      }
    }
  }

  /** @param {SignalOption} [options] */
  async delete(options) {
    try {
      await this.request("DELETE", "", options);
    } catch (error) {
      if (!(error instanceof NotFound && error.repeated)) throw error;
    }
  }

  /**
   * @param {Report} report
   * @param {SignalOption} [options]
   */
  report(report, options) {
    return this.send("PATCH", "", { body: JSON.stringify(report), ...options });
  }

  /** @param {SignalOption} [options] */
  renewWorkerToken(options) {
    return this.send("POST", "/worker-token", options);
  }

  /**
   * Send a request about the job and return the job in its answer.
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   */
  async send(method, path, options) {
    return jobOf(this.#http, await this.request(method, path, options), this);
  }

  /**
   * Send a request about the job. Its errors have the job.
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   */
  async request(method, path, options) {
    try {
      return await this.#http.send(method, this.#http.pathOf(this.id) + path, options);
    } catch (/** @type {any} */ error) {
      options?.signal?.throwIfAborted();
      if (error.code === "JOB_CANCELLED") throw new JobCancelled("The job was cancelled", /** @type {Job} */ (this));
      if (error.code === "JOB_FAILED" && error.error) throw new JobFailed(/** @type {Job} */ (this), error.error);
      if (error instanceof AsyncjobsError) error.asyncJobId ??= this.id;
      throw error;
    }
  }

  /**
   * Return the job after an event.
   * @param {JobEvent} event
   */
  changed({ seq, at, status, progress, message, attempt }) {
    const data = /** @type {JobData<any>} */ ({ ...this.data, seq, updatedAt: at, status, progress, message, attempt });
    return new AsyncJob(this.#http, this.id, { data, pollAt: this.pollAt });
  }

  toJSON() {
    return this.data ?? { asyncJobId: this.id };
  }
}

/**
 * Return the job of an answer. One without a body (304) is the job as it was known.
 * @param {Http} http
 * @param {Answer} answer
 * @param {AsyncJob} [known]
 */
export function jobOf(http, answer, known) {
  const { headers } = answer;
  const data = checked(answer.data ?? known?.data, "asyncJobId");
  return new AsyncJob(http, data.asyncJobId, {
    data,
    etag: headers.get("etag"),
    pollAt: http.clock.now() + jittered(retryAfterMs(headers) ?? 0),
    replayed: headers.get("idempotency-replayed") === "true",
  });
}
