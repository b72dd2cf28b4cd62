/** Changes of jobs over a WebSocket: one connection for all jobs that a client follows. */

import { ApiConnectionError, ApiError, ApiTimeout } from "./errors.js";

/** @import { Http } from "./http.js" */
/** @import { JobEvent } from "./types.js" */

/** So many changes of a job are kept for those who follow it. */
const KEPT = 50;

/**
 * @typedef {object} Watched
 * @property {JobEvent[]} events
 * @property {WebSocket | undefined} socket the one that watches the job
 * @property {unknown} error why it does not any more
 * @property {number} users
 * @property {Set<() => void>} wakers
 */

export class Socket {
  /** @type {Promise<WebSocket> | undefined} */ #opening;
  /** @type {WebSocket | undefined} */ #made;
  /** @type {Map<string, Watched>} */ #jobs = new Map();

  /** @param {Http} http */
  constructor(http) {
    this.http = http;
  }

  /**
   * Return the job's changes after a number, as soon as there is one, or none after a while.
   * @param {string} id
   * @param {number} after
   * @param {number} withinMs
   * @param {AbortSignal | null} [signal]
   * @returns {Promise<JobEvent[]>}
   */
  async changes(id, after, withinMs, signal) {
    const job = this.#job(id);
    const { clock } = this.http;
    const until = clock.now() + withinMs;
    // All waits share the connection: one that is left leaves it to the others.
    const socket = await this.#within((this.#opening ??= this.#open()), withinMs, signal);
    if (!socket) return [];
    if (job.socket !== socket) {
      job.socket = socket;
      job.error = null;
      socket.send(JSON.stringify({ action: "watch", asyncJobId: id, after, id }));
    }
    const news = () => job.events.filter(({ seq }) => seq > after);
    if (!news().length) await this.#woken(job, until - clock.now(), signal);
    if (job.error) throw job.error;
    return news();
  }

  /** @param {string} id */
  follow(id) {
    this.#job(id).users += 1;
  }

  /** @param {string} id */
  async unfollow(id) {
    const job = this.#job(id);
    job.users -= 1;
    if (job.users) return;
    this.#jobs.delete(id);
    // Nobody waits for the handshake any more, which may never end.
    if (!this.#jobs.size) this.#made?.close();
    const socket = await this.#opening?.catch(() => undefined);
    if (!this.#jobs.size) socket?.close();
    else if (socket?.readyState === 1) socket.send(JSON.stringify({ action: "unwatch", asyncJobId: id }));
  }

  /**
   * @param {string} id
   * @returns {Watched}
   */
  #job(id) {
    const found = this.#jobs.get(id) ?? { events: [], socket: undefined, error: null, users: 0, wakers: new Set() };
    this.#jobs.set(id, found);
    return found;
  }

  /**
   * @param {Watched} job
   * @param {number} withinMs
   * @param {AbortSignal | null} [signal]
   */
  async #woken(job, withinMs, signal) {
    let wake = () => {};
    const woken = new Promise((resolve) => (wake = () => resolve(undefined)));
    job.wakers.add(wake);
    try {
      await this.#within(woken, withinMs, signal);
    } finally {
      job.wakers.delete(wake);
    }
  }

  /**
   * Return what a promise brings within a time, or nothing.
   * @template T
   * @param {Promise<T>} promise
   * @param {number} ms
   * @param {AbortSignal | null} [signal]
   */
  async #within(promise, ms, signal) {
    const timer = new AbortController();
    const abort = () => timer.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { signal: timer.signal });
    try {
      return await Promise.race([promise, this.http.clock.sleep(ms, timer.signal)]);
    } finally {
      timer.abort();
    }
  }

  /** @returns {Promise<WebSocket>} */
  async #open() {
    const { timeoutMs } = this.http;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    try {
      const body = JSON.stringify({ scope: "owner", use: "connect" });
      const { data } = await this.http.send("POST", "tickets", { body, retries: 0 });
      const socket = (this.#made = new /** @type {typeof WebSocket} */ (this.http.webSocket)(data.url));
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = socket.onclose = () => reject(new ApiConnectionError("The WebSocket cannot be opened"));
        timer = setTimeout(() => {
          reject(new ApiTimeout(`The WebSocket was not open within ${timeoutMs} ms`));
          socket.close();
        }, timeoutMs);
      });
      socket.onmessage = ({ data: text }) => this.#receive(JSON.parse(text));
      socket.onerror = socket.onclose = () => this.#closed(socket);
      return socket;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {any} message */
  #receive({ type, changes = [], snapshot, asyncJobId, id, problem, more }) {
    if (snapshot) changes.push({ ...snapshot, asyncJobId });
    for (const change of changes) {
      const job = this.#jobs.get(change.asyncJobId);
      if (!job) continue;
      job.events = [...job.events, change].slice(-KEPT);
      wakeAll(job);
    }
    const refused = this.#jobs.get(id);
    if (type === "problem" && refused) end(refused, `The WebSocket does not watch the job: ${problem.title}`);
    // Some changes did not fit: each record shows what there is.
    if (more) for (const job of this.#jobs.values()) wakeAll(job);
  }

  /** @param {WebSocket} socket */
  #closed(socket) {
    socket.onerror = socket.onclose = null;
    this.#opening = undefined;
    for (const job of this.#jobs.values()) end(job, "The WebSocket was closed");
  }
}

/**
 * @param {Watched} job
 * @param {string} why
 */
function end(job, why) {
  job.socket = undefined;
  job.error = new ApiConnectionError(why);
  wakeAll(job);
}

/** @param {Watched} job */
function wakeAll(job) {
  for (const wake of job.wakers) wake();
}

/**
 * Return whether the error says that this server has no WebSocket.
 * @param {unknown} error
 */
export function hasNone(error) {
  return error instanceof ApiError && error.status < 429;
}
