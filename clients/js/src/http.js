/** Requests of the API: tokens, time limits, repetitions and errors. */

import { ApiConnectionError, ApiTimeout, AsyncjobsError, checked, errorOf, isTransient } from "./errors.js";

/** @import { Socket } from "./socket.js" */
/** @import { ClientOptions, Clock, Token } from "./types.js" */

/**
 * @typedef {object} RequestOptions
 * @property {Record<string, string | number | undefined>} [query]
 * @property {Record<string, string>} [headers]
 * @property {string} [body] JSON, frozen before the first try
 * @property {AbortSignal | null} [signal]
 * @property {number} [retries]
 * @property {number} [timeoutMs]
 * @property {RequestRedirect} [redirect]
 * @property {string} [token] instead of the client's
 *
 * @typedef {object} Answer
 * @property {number} status
 * @property {ResponseType} type
 * @property {Headers} headers
 * @property {string} text
 * @property {any} data the text's JSON
 */

const LONGEST_BACKOFF = 20_000;
/** An answer that requires a longer pause ends the call: its caller decides. */
const LONGEST_RETRY_AFTER = 120_000;

/** @type {Clock} */
const CLOCK = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      const wake = () => {
        leave();
        resolve();
      };
      // A timer of more than 2^31 ms fires immediately.
      const timer = setTimeout(wake, Math.min(milliseconds, 2 ** 31 - 1));
      const leave = onAbort(signal, () => {
        clearTimeout(timer);
        reject(signal?.reason);
      });
    }),
};

/** The connection to one API, as one user. */
export class Http {
  /** The WebSocket that all waits share; null if the server has none. @type {Socket | null | undefined} */
  socket;
  // Private, as the token is: whatever logs a client must not show it.
  /** @type {ClientOptions} */ #options;
  /** @type {Token | undefined} */ #provider;
  /** @type {string | undefined | Promise<string>} */ #token;

  /** @param {ClientOptions} options */
  constructor(options) {
    this.#options = options;
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.maxRetries = options.maxRetries ?? 4;
    this.clock = options.clock ?? CLOCK;
    /** @type {typeof fetch} */
    this.fetcher = options.fetch ?? ((input, init) => fetch(input, init));
    this.live = options.live ?? true;
    this.webSocket = options.webSocket === undefined ? globalThis.WebSocket : options.webSocket;
    this.base = baseUrl(options.baseUrl);
    this.#provider = options.ticket ?? options.token ?? environment("ASYNCJOBS_TOKEN");
    this.hasTicket = Boolean(options.ticket);
    this.connect = options.connect;
    /** The path of the list, and above each job. A ticket opens paths of its own, which only read. */
    this.jobs = options.ticket ? "tickets/jobs" : "jobs";
  }

  /**
   * Return a connection with other options.
   * @param {ClientOptions} options
   */
  with(options) {
    return new Http({ ...this.#options, ...options });
  }

  /**
   * Send a request, repeated while that may help, and return its answer of less than 400. Others are an `ApiError`.
   * @param {string} method
   * @param {string} path relative to the API's base
   * @param {RequestOptions} [options]
   * @returns {Promise<Answer>}
   */
  async send(method, path, options = {}) {
    const { retries = this.maxRetries, signal } = options;
    let isRefreshed = false;
    for (let attempt = 0; ; ) {
      const token = options.token ?? (await this.token());
      try {
        return await this.#once(method, path, options, token);
      } catch (/** @type {any} */ error) {
        signal?.throwIfAborted();
        if (error.status === 401 && !options.token && !isRefreshed && (await this.#refresh(token))) {
          isRefreshed = true;
          continue;
        }
        error.repeated = attempt > 0;
        await this.pause(error, attempt, signal, retries);
        attempt += 1;
      }
    }
  }

  /**
   * Return the JSON of an answer. One without its member is not the API's.
   * @param {string} method
   * @param {string} path
   * @param {string} member
   * @param {RequestOptions} [options]
   */
  async json(method, path, member, options) {
    return checked((await this.send(method, path, options)).data, member);
  }

  /**
   * Sleep before the next try. Throw the error if there is none.
   * @param {any} error
   * @param {number} attempt that which failed, from 0 on
   * @param {AbortSignal | null} [signal]
   * @param {number} [retries]
   */
  async pause(error, attempt, signal, retries = this.maxRetries) {
    signal?.throwIfAborted();
    if (!isTransient(error) || attempt >= retries || error.retryAfterMs > LONGEST_RETRY_AFTER) throw error;
    await this.clock.sleep(pauseAfter(error, attempt), signal);
  }

  /**
   * Sleep before the next try of a link to the storage. Throw the error if there is none. Return whether the next try needs
   * a new link: this one may have expired.
   * @param {any} error
   * @param {number} attempt that which failed, from 0 on
   * @param {AbortSignal | null} [signal]
   */
  async pauseOfLink(error, attempt, signal) {
    const isOver = [400, 401, 403].includes(error.status);
    if (isOver && attempt < this.maxRetries) await this.clock.sleep(backoff(attempt), signal);
    else await this.pause(error, attempt, signal);
    return isOver;
  }

  /**
   * Return the path of a job.
   * @param {string} id
   */
  pathOf(id) {
    return `${this.jobs}/${encodeURIComponent(id)}`;
  }

  /** Return the token. A function is called for the first one, and again after a 401 or when it has failed. */
  async token() {
    this.#token ??= typeof this.#provider === "function" ? Promise.resolve(this.#provider()) : this.#provider;
    try {
      return await this.#token;
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
  }

  /**
   * Forget the refused token, unless another request has done so. Return whether there may be another one.
   * @param {string | undefined} refused
   */
  async #refresh(refused) {
    if (this.#token && (await this.#token) === refused) this.#token = undefined;
    return typeof this.#provider === "function";
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} options
   * @param {string | undefined} token
   */
  async #once(method, path, { query = {}, headers, body, redirect, ...limits }, token) {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, /** @type {string} */ (value));
    const sent = new Headers({ ...headers, ...authorization(token) });
    if (body !== undefined) sent.set("content-type", "application/json");
    return this.fetch(url, { method, headers: sent, body, redirect }, limits, async (response) => {
      const { status, type } = response;
      const text = await response.text();
      const data = text && /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined;
      return { status, type, headers: response.headers, text, data };
    });
  }

  /**
   * Fetch and read an answer of less than 400 within a time limit. Others are an `ApiError`, failures an `ApiConnectionError`;
   * an aborted signal is its reason.
   * @template T
   * @param {URL | string} url
   * @param {RequestInit} init
   * @param {{ signal?: AbortSignal | null, timeoutMs?: number }} limits
   * @param {(response: Response, stop: AbortController) => T | Promise<T>} read
   */
  async fetch(url, init, { signal, timeoutMs = this.timeoutMs }, read) {
    signal?.throwIfAborted();
    const stop = new AbortController();
    const leave = onAbort(signal, () => stop.abort(signal?.reason));
    const timer = setTimeout(() => stop.abort(new ApiTimeout(`No answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      const response = await this.fetcher(url, { ...init, credentials: "omit", signal: stop.signal });
      const { status, headers } = response;
      if (status >= 400) throw errorOf(status, headers, await response.text());
      return await read(response, stop);
    } catch (/** @type {any} */ error) {
      if (stop.signal.aborted) throw stop.signal.reason;
      if (error instanceof AsyncjobsError) throw error;
      // For a name with several addresses, Node.js gives a cause without a message.
      const reason = error.cause?.message || error.cause?.code || error.message;
      throw new ApiConnectionError(`${init.method} ${new URL(url).origin} failed: ${reason}`, { cause: error });
    } finally {
      clearTimeout(timer);
      leave();
    }
  }
}

/**
 * Call the listener once the signal is aborted, now if it is. Return a function that lets go of the signal, which may live long.
 * @param {AbortSignal | null | undefined} signal
 * @param {() => void} listener
 */
export function onAbort(signal, listener) {
  if (signal?.aborted) listener();
  else signal?.addEventListener("abort", listener, { once: true });
  return () => signal?.removeEventListener("abort", listener);
}

/**
 * Return the header that carries a token, if there is one.
 * @param {string | undefined} token
 * @returns {Record<string, string>}
 */
export function authorization(token) {
  return token ? { authorization: `Bearer ${token}` } : {};
}

/**
 * Return the pause after a failure: what the server named, or one of up to 20 s.
 * @param {any} error
 * @param {number} attempt
 */
export function pauseAfter({ retryAfterMs }, attempt) {
  return retryAfterMs === undefined ? backoff(attempt) : jittered(retryAfterMs);
}

/**
 * Return a pause that the server named, up to 10 % longer, so that clients that received the same second do not all return
 * in it.
 * @param {number} milliseconds
 */
export function jittered(milliseconds) {
  return milliseconds * (1 + 0.1 * Math.random());
}

/**
 * Return a pause before the next try, of up to 20 s. It is random, so that many clients do not return together.
 * @param {number} attempt
 */
export function backoff(attempt) {
  return Math.random() * Math.min(LONGEST_BACKOFF, 500 * 2 ** attempt);
}

/** @param {string} name */
function environment(name) {
  return globalThis.process?.env?.[name];
}

/** @param {string | URL | undefined} given */
function baseUrl(given) {
  const url = new URL(given ?? environment("ASYNCJOBS_URL") ?? "", globalThis.location?.href ?? "none:/");
  if (!/^http/.test(url.protocol)) throw new TypeError("baseUrl or ASYNCJOBS_URL has to begin with https://");
  url.pathname = url.pathname.replace(/(\/api\/v1)?\/*$/, "/api/v1/");
  return url;
}
