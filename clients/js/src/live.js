/** Changes of one job as they happen: over the WebSocket where there is one, else by a held request for its events. */

import { Socket, hasNone } from "./socket.js";

/** @import { Http } from "./http.js" */
/** @import { AsyncJob } from "./job.js" */
/** @import { JobEvent } from "./types.js" */

/** The longest time that the API holds a request. */
const HOLD_SECONDS = 20;
/** What a held request may take beyond that. */
const EXTRA_MS = 5_000;
/** How long a WebSocket may be silent until the record is read: a message may be lost. */
const SILENT_MS = 60_000;

/**
 * @typedef {object} Found
 * @property {JobEvent[]} events
 * @property {boolean} isHeld whether there was a wait for them; without one, too many requests of the owner wait
 */

/**
 * The WebSocket of each client, which all its waits share; null if the server has none.
 * @type {WeakMap<Http, Socket | null>}
 */
const sockets = new WeakMap();

export class Changes {
  /** @type {Socket | undefined} */ #followed;

  /**
   * @param {Http} http
   * @param {AsyncJob} job
   */
  constructor(http, job) {
    this.http = http;
    this.job = job;
  }

  /**
   * Return the changes after a number, as soon as there is one.
   * @param {number} after
   * @param {number} leftMs
   * @param {AbortSignal | null} [signal]
   * @returns {Promise<Found>}
   */
  async next(after, leftMs, signal) {
    const socket = this.#socket();
    if (socket) {
      try {
        const events = await socket.changes(this.job.id, after, Math.min(SILENT_MS, leftMs), signal);
        return { events, isHeld: true };
      } catch (error) {
        if (signal?.aborted || !hasNone(error)) throw error;
        sockets.set(this.http, null);
      }
    }
    return eventsAfter(this.http, this.job, after, leftMs, signal);
  }

  close() {
    void this.#followed?.unfollow(this.job.id);
  }

  #socket() {
    const { http } = this;
    // A ticket that reads opens no connection.
    if (!http.webSocket || http.hasTicket) return null;
    if (!sockets.has(http)) sockets.set(http, new Socket(http));
    const socket = sockets.get(http);
    if (socket && !this.#followed) {
      this.#followed = socket;
      socket.follow(this.job.id);
    }
    return socket;
  }
}

/**
 * Return the events of a job after a number. The request is held until there is one.
 * @param {Http} http
 * @param {AsyncJob} job
 * @param {number} after
 * @param {number} leftMs
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<Found>}
 */
export async function eventsAfter(http, job, after, leftMs, signal) {
  const wait = Math.min(HOLD_SECONDS, Math.ceil(leftMs / 1000));
  const timeoutMs = Math.max(http.timeoutMs, wait * 1000 + EXTRA_MS);
  const { data, headers } = await job.request("GET", "/events", { query: { after, wait }, signal, timeoutMs, retries: 0 });
  const events = data.events.filter((/** @type {JobEvent} */ event) => event.seq > after);
  return { events, isHeld: events.length > 0 || /wait=[1-9]/.test(headers.get("preference-applied") ?? "") };
}
