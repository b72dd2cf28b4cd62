/** Changes of jobs over a WebSocket: one connection for all that a client follows. */

import { ApiConnectionError, ApiTimeout } from "./errors.js";
import { onAbort } from "./http.js";

/** @import { Http } from "./http.js" */
/** @import { JobEvent } from "./types.js" */

/** All jobs of the owner, in place of the id of one. */
export const OWNER = "*";
/** So many changes of a job are kept for those who follow it. */
const KEPT = 50;
/** The age at which a connection is replaced. After 15 minutes the server sends nothing more, and does not close it. */
const RENEW_MS = 780_000;
/** A message is answered sooner, or the connection is dead. */
const ANSWER_MS = 10_000;

/**
 * @typedef {object} Watched
 * @property {JobEvent[]} events
 * @property {WebSocket} [socket] the one that watches it
 * @property {unknown} [error] why it does not any more
 * @property {boolean} [isStale] whether there were changes that no message has brought
 * @property {number} users
 * @property {Set<() => void>} wakers
 */

export class Socket {
  #http;
  /** @type {Promise<WebSocket> | undefined} */ #opening;
  /** @type {WebSocket | undefined} */ #made;
  #openedAt = 0;
  /** When an answer was requested that has not come. @type {number | undefined} */ #pingedAt;
  /** @type {Map<string, Watched>} */ #jobs = new Map();

  /** @param {Http} http */
  constructor(http) {
    this.#http = http;
  }

  /**
   * Return the job's changes after a number, as soon as there is one, or none after a while. Those of all jobs have no order:
   * they are what came since the last call, and none when it is time to read the list.
   * @param {string} id
   * @param {number | undefined} after
   * @param {number} withinMs
   * @param {AbortSignal | null} [signal]
   * @returns {Promise<JobEvent[]>}
   */
  async changes(id, after, withinMs, signal) {
    const job = this.#job(id);
    const { clock } = this.#http;
    const until = clock.now() + withinMs;
    // All waits share the connection: one that is left leaves it to the others.
    const socket = await this.#within((this.#opening ??= this.#open()), withinMs, signal);
    if (!socket) return [];
    if (clock.now() - this.#openedAt > RENEW_MS) {
      this.#closed(socket);
      return this.changes(id, after, until - clock.now(), signal);
    }
    if (job.socket !== socket) {
      job.socket = socket;
      job.error = null;
      send(socket, { action: "watch", ...named(id), after, id });
    }
    const news = () => job.events.filter(({ seq }) => after === undefined || seq > after);
    if (!news().length && !job.isStale && !(await this.#woken(job, until - clock.now(), signal))) this.#ping(socket);
    if (job.error) throw job.error;
    const found = job.isStale ? [] : news();
    job.isStale = false;
    if (after === undefined) job.events = [];
    return found;
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
    else if (socket?.readyState === 1) send(socket, { action: "unwatch", ...named(id) });
  }

  /**
   * @param {string} id
   * @returns {Watched}
   */
  #job(id) {
    const found = this.#jobs.get(id) ?? { events: [], users: 0, wakers: new Set() };
    this.#jobs.set(id, found);
    return found;
  }

  /**
   * Wait for news, and return whether they came in time.
   * @param {Watched} job
   * @param {number} withinMs
   * @param {AbortSignal | null} [signal]
   */
  async #woken(job, withinMs, signal) {
    let wake = () => {};
    const woken = new Promise((resolve) => (wake = () => resolve(true)));
    job.wakers.add(wake);
    try {
      return await this.#within(woken, withinMs, signal);
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
    const leave = onAbort(signal, () => timer.abort(signal?.reason));
    try {
      return await Promise.race([promise, this.#http.clock.sleep(ms, timer.signal)]);
    } finally {
      leave();
      timer.abort();
    }
  }

  /**
   * Request an answer of a silent connection. One that gave none to the last request is dead, although nobody has closed it.
   * @param {WebSocket} socket
   */
  #ping(socket) {
    const now = this.#http.clock.now();
    if (this.#pingedAt === undefined) {
      this.#pingedAt = now;
      send(socket, { action: "ping" });
    } else if (now - this.#pingedAt > ANSWER_MS) this.#closed(socket);
  }

  /** @returns {Promise<WebSocket>} */
  async #open() {
    const { clock, connect, timeoutMs } = this.#http;
    try {
      const body = JSON.stringify({ scope: "owner", use: "connect" });
      const { url } = connect ? await connect() : await this.#http.json("POST", "tickets", "url", { body, retries: 0 });
      this.#openedAt = clock.now();
      const socket = (this.#made = new /** @type {typeof WebSocket} */ (this.#http.webSocket)(url));
      const opened = new Promise((resolve, reject) => {
        socket.onopen = () => resolve(true);
        socket.onerror = socket.onclose = () => reject(new ApiConnectionError("The WebSocket cannot be opened"));
      });
      if (!(await this.#within(opened, timeoutMs))) {
        socket.close();
        throw new ApiTimeout(`No answer within ${timeoutMs} ms`);
      }
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data), socket);
      socket.onerror = socket.onclose = () => this.#closed(socket);
      return socket;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /**
   * @param {any} message
   * @param {WebSocket} socket
   */
  #receive({ type, changes = [], snapshot, asyncJobId, id, problem, more }, socket) {
    this.#pingedAt = undefined;
    if (snapshot) changes.push({ ...snapshot, asyncJobId });
    for (const change of changes) {
      for (const id of [change.asyncJobId, OWNER]) {
        const job = this.#jobs.get(id);
        if (!job) continue;
        job.events.push(change);
        // The newest state of a job is enough. Of all jobs, one may be missing then.
        if (job.events.length > KEPT) {
          job.events.shift();
          job.isStale ||= id === OWNER;
        }
        wakeAll(job);
      }
    }
    const answered = this.#jobs.get(id);
    // The time of the connection is over.
    if (problem?.code === "INVALID_TICKET") this.#closed(socket);
    else if (problem && answered) end(answered, `The WebSocket refused: ${problem.title}`);
    // All jobs are watched from now on: what changed before is in the list.
    else if (type === "watching" && id === OWNER && answered) markStale(answered);
    // Some changes did not fit: each record shows what there is.
    if (more) this.#jobs.forEach(markStale);
  }

  /** @param {WebSocket} socket */
  #closed(socket) {
    // Another wait has noticed it, and opens the next one.
    if (socket !== this.#made) return;
    this.#made = undefined;
    socket.onmessage = socket.onerror = socket.onclose = null;
    socket.close();
    this.#opening = undefined;
    for (const job of this.#jobs.values()) end(job, "The WebSocket was closed");
  }
}

/**
 * @param {WebSocket} socket
 * @param {Record<string, unknown>} message
 */
function send(socket, message) {
  socket.send(JSON.stringify(message));
}

/**
 * Return the members of a message that name what it is about.
 * @param {string} id
 */
function named(id) {
  return id === OWNER ? { scope: "owner" } : { asyncJobId: id };
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
function markStale(job) {
  job.isStale = true;
  wakeAll(job);
}

/** @param {Watched} job */
function wakeAll(job) {
  for (const wake of job.wakers) wake();
}
