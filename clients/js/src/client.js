/** The client: what one user can do with one API. */

import { JobFailed } from "./errors.js";
import { Http } from "./http.js";
import { AsyncJob, jobOf } from "./job.js";
import { upload, withoutFiles } from "./uploads.js";

/** @import { Client, ClientOptions, ListOptions, Report, SignalOption, SubmitOptions, FollowOptions, UploadOptions, Uploadable } from "./types.js" */

const LONGEST_WAIT_SECONDS = 20;
const LARGEST_PAGE = 100;
/** The options of a submit that are members of its request. */
const SENT = /** @type {const} */ (["message", "metadata", "priority", "delaySeconds", "notBefore", "retentionSeconds", "retentionFrom"]);

/**
 * Return a client of the API. The types are those that `openapi-typescript` makes of the deployment's document.
 * @template [Paths=any]
 * @template [Components=any]
 * @param {ClientOptions} [options]
 * @returns {Client<Paths, Components>}
 */
export function createClient(options = {}) {
  return /** @type {any} */ (new JobsClient(new Http(options)));
}

class JobsClient {
  /** @param {Http} http */
  constructor(http) {
    this.http = http;
    this.tracked = {
      create: (/** @type {SubmitOptions & { jobType?: string }} */ options = {}) => this.#track(options),
      worker: (/** @type {string} */ id, /** @type {string} */ token) => ({
        report: (/** @type {Report} */ report, /** @type {SignalOption} */ options) =>
          this.job(id).send("PATCH", "/report", { body: JSON.stringify(report), token, ...options }),
      }),
    };
  }

  /**
   * @param {string} jobType
   * @param {unknown} [input]
   * @param {SubmitOptions & FollowOptions<any>} [options]
   */
  async run(jobType, input = {}, options = {}) {
    // Without a preference, the answer to a quick job is its result, and no other request is held.
    const job = await this.#submit(jobType, input, options, undefined);
    return job.result(options);
  }

  /**
   * @param {string} jobType
   * @param {unknown} [input]
   * @param {SubmitOptions} [options]
   */
  submit(jobType, input = {}, options = {}) {
    return this.#submit(jobType, input, options, "respond-async");
  }

  /** @param {string} id */
  job(id) {
    return new AsyncJob(this.http, id);
  }

  /**
   * @param {string} id
   * @param {SignalOption} [options]
   */
  get(id, options) {
    return this.job(id).refresh(options);
  }

  /** @param {ListOptions} [options] */
  async *list(options) {
    for await (const page of this.pages(options)) yield* page;
  }

  /** @param {ListOptions} [options] */
  async *pages({ status, jobType, limit, signal } = {}) {
    /** @type {string | undefined} */
    let cursor;
    let left = limit ?? Infinity;
    do {
      const query = { status, jobType, limit: limit && Math.min(left, LARGEST_PAGE), cursor };
      const data = await this.http.json("GET", this.http.jobs, "jobs", { query, signal });
      const jobs = data.jobs.slice(0, left);
      left -= jobs.length;
      yield jobs.map((/** @type {any} */ each) => new AsyncJob(this.http, each.asyncJobId, { data: each }));
      cursor = data.nextCursor ?? undefined;
    } while (cursor && left > 0);
  }

  /**
   * @param {Uploadable} data
   * @param {UploadOptions} [options]
   */
  upload(data, options) {
    return upload(this.http, data, options);
  }

  /** @param {SignalOption} [options] */
  async types(options) {
    return (await this.http.json("GET", "job-types", "jobTypes", options)).jobTypes;
  }

  /** @param {ClientOptions} options */
  with(options) {
    return new JobsClient(this.http.with(options));
  }

  /** @param {SubmitOptions & { jobType?: string }} options */
  async #track({ jobType, ...options }) {
    const job = await this.#post({ jobType }, options, "respond-async");
    // The answer that had the token was lost. With a key of the caller's, an earlier worker may have it.
    return job.replayed && !job.workerToken && !options.key ? job.renewWorkerToken(options) : job;
  }

  /**
   * @param {string} jobType
   * @param {unknown} input
   * @param {SubmitOptions} options
   * @param {string | undefined} preference
   */
  async #submit(jobType, input, options, preference) {
    const plain = await withoutFiles(input, (file) => this.upload(file, { signal: options.signal }));
    return this.#post({ jobType, input: plain }, options, preference);
  }

  /**
   * @param {{ jobType?: string, input?: unknown }} what
   * @param {SubmitOptions} options
   * @param {string | undefined} preference
   */
  async #post(what, options, preference) {
    const { key = newKey(), signal, waitSeconds } = options;
    const members = SENT.map((name) => [name, options[name]]);
    // Once, before the first try: a repeated request is the same request.
    const body = JSON.stringify({ ...what, ...Object.fromEntries(members) });
    const wait = Math.min(waitSeconds ?? 0, LONGEST_WAIT_SECONDS);
    const prefer = wait ? `wait=${wait}` : preference;
    const headers = { "idempotency-key": key, ...(prefer && { prefer }) };
    const timeoutMs = Math.max(this.http.timeoutMs, wait * 1000 + 5000);
    try {
      return jobOf(this.http, await this.http.send("POST", "jobs", { body, headers, signal, timeoutMs }));
    } catch (/** @type {any} */ error) {
      signal?.throwIfAborted();
      // The job was accepted, and failed while its caller waited.
      if (error.asyncJobId && error.error) throw new JobFailed(/** @type {any} */ (this.job(error.asyncJobId)), error.error);
      throw error;
    }
  }
}

/** Return a key that no other submit has. `crypto.randomUUID` exists on secure pages only. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
