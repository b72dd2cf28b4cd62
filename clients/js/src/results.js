/** Read a job's result, also a large one over a connection that breaks. */

import { ApiConnectionError, NotFound } from "./errors.js";
import { authorization, onAbort } from "./http.js";

/** @import { Http } from "./http.js" */
/** @import { AsyncJob } from "./job.js" */
/** @import { SignalOption } from "./types.js" */

/** A ticket is used immediately. */
const TICKET_SECONDS = 60;

/**
 * Return the result as a response, whose body resumes where a connection broke.
 * @param {Http} http
 * @param {AsyncJob} job
 * @param {SignalOption} [options]
 */
export async function openResult(http, job, { signal } = {}) {
  const download = new Download(http, job, signal);
  const { status, headers, body } = await download.request();
  return new Response(body && download.resumed(body, headers), { status, headers });
}

/**
 * Return the value of a JSON result; any other one as a `Blob`.
 * @param {Response} response
 * @returns {Promise<any>}
 */
export function readResult(response) {
  return /[/+]json\b/.test(response.headers.get("content-type") ?? "") ? response.json() : response.blob();
}

class Download {
  #http;
  #job;
  #signal;
  /** @type {{ url: URL, headers: Record<string, string> } | undefined} */ #link;
  /** @type {string | null | undefined} */ #etag;
  #received = 0;

  /**
   * @param {Http} http
   * @param {AsyncJob} job
   * @param {AbortSignal | null} [signal]
   */
  constructor(http, job, signal) {
    this.#http = http;
    this.#job = job;
    this.#signal = signal;
  }

  /**
   * Request the result from the first byte on that has not been received.
   * @returns {Promise<Response>}
   */
  async request() {
    for (let attempt = 0; ; attempt += 1) {
      if (!this.#link) {
        const small = await this.#open();
        if (small) return small;
      }
      try {
        return await this.#fetch();
      } catch (/** @type {any} */ error) {
        this.#signal?.throwIfAborted(); // the reason is the caller's own
        error.asyncJobId = this.#job.id;
        if (await this.#http.pauseOfLink(error, attempt, this.#signal)) this.#link = undefined;
      }
    }
  }

  /**
   * Return the bytes of a body, and the rest of them when the connection breaks.
   * @param {ReadableStream<Uint8Array>} body
   * @param {Headers} headers
   */
  resumed(body, headers) {
    const total = headers.has("content-encoding") ? NaN : Number(headers.get("content-length") ?? NaN);
    this.#etag = headers.get("etag");
    let reader = body.getReader();
    let failures = 0;
    let skip = 0;

    const resume = async (/** @type {unknown} */ cause) => {
      const error = new ApiConnectionError("The result was cut", { cause });
      if (failures > 0) await this.#http.pause(error, failures - 1, this.#signal);
      failures += 1;
      const next = await this.request();
      const etag = next.headers.get("etag");
      if (etag !== this.#etag) throw new ApiConnectionError("The result has changed. Read it again");
      // A server without ranges sends all of it.
      skip = next.status === 206 ? 0 : this.#received;
      reader = /** @type {ReadableStream<Uint8Array>} */ (next.body).getReader();
    };

    /** @type {UnderlyingDefaultSource<Uint8Array>} */
    const source = {
      pull: async (controller) => {
        for (;;) {
          let part;
          try {
            part = await reader.read();
            if (part.done && this.#received < total) throw new TypeError("The body ended early");
          } catch (error) {
            await resume(error);
            continue;
          }
          if (part.done) return controller.close();
          const news = part.value.subarray(skip);
          skip = Math.max(0, skip - part.value.length);
          if (!news.length) continue;
          this.#received += news.length;
          failures = 0;
          return controller.enqueue(news);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    };
    return new ReadableStream(source);
  }

  /**
   * Request a link to the result. Return the result itself if it is small.
   * @returns {Promise<Response | undefined>}
   */
  async #open() {
    const http = this.#http;
    const answer = await this.#job.request("GET", "/result", { signal: this.#signal, redirect: "manual" });
    if (answer.status === 200) return new Response(answer.text, { headers: answer.headers });
    const url = new URL(`${http.pathOf(this.#job.id)}/result`, http.base);
    const location = answer.headers.get("location");
    this.#link = location ? { url: new URL(location, url), headers: {} } : await this.#linkOfPage(url);
    return undefined;
  }

  /**
   * Return what a page requests: it cannot read a redirect, and the browser follows it. A ticket in the URL goes no further,
   * whereas a browser sends a header on to a storage of the same origin.
   * @param {URL} url
   */
  async #linkOfPage(url) {
    const http = this.#http;
    try {
      const body = JSON.stringify({ jobs: [this.#job.id], ttlSeconds: TICKET_SECONDS });
      const ticket = http.hasTicket
        ? await http.token()
        : (await http.json("POST", "tickets", "ticket", { body, signal: this.#signal })).ticket;
      const opened = new URL(`tickets/jobs/${encodeURIComponent(this.#job.id)}/result?ticket=${ticket}`, http.base);
      return { url: opened, headers: {} };
    } catch (error) {
      if (this.#signal?.aborted || !(error instanceof NotFound && !error.code)) throw error;
      return { url, headers: authorization(await http.token()) }; // an earlier server, without tickets
    }
  }

  /** @returns {Promise<Response>} */
  #fetch() {
    const { url, headers } = /** @type {{ url: URL, headers: Record<string, string> }} */ (this.#link);
    const from = this.#received ? { range: `bytes=${this.#received}-`, ...(this.#etag && { "if-match": this.#etag }) } : {};
    const init = { method: "GET", headers: { ...headers, ...from } };
    return this.#http.fetch(url, init, { signal: this.#signal }, (response, stop) => {
      // The signal ends the body, too.
      onAbort(this.#signal, () => stop.abort(this.#signal?.reason));
      return response;
    });
  }
}
