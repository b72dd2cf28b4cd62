/** Changes of jobs as they happen: over the WebSocket where there is one, else by a held request for the events of a job. */

import { checked, isTransient } from "./errors.js";
import { OWNER, Socket } from "./socket.js";

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

/** The changes of a job, or of all jobs of the owner, for as long as somebody waits for them. */
export class Changes {
  #http;
  #id;
  /** @type {Socket | undefined} */ #followed;

  /**
   * @param {Http} http
   * @param {string} [id]
   */
  constructor(http, id = OWNER) {
    this.#http = http;
    this.#id = id;
  }

  /**
   * Return the changes after a number, as soon as the WebSocket brings one, or none after a minute; null if there is none.
   * @param {number | undefined} after of a job
   * @param {number} leftMs
   * @param {AbortSignal | null} [signal]
   * @returns {Promise<JobEvent[] | null>}
   */
  async pushed(after, leftMs, signal) {
    const socket = this.#socket();
    if (!socket) return null;
    try {
      return await socket.changes(this.#id, after, Math.min(SILENT_MS, leftMs), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (isTransient(error)) throw error;
      // This server has no WebSocket, or a caller with this token gets none.
      this.#http.socket = null;
      return null;
    }
  }

  close() {
    void this.#followed?.unfollow(this.#id);
  }

  #socket() {
    const http = this.#http;
    // A ticket that reads opens no connection.
    if (!http.webSocket || (http.hasTicket && !http.connect)) return null;
    if (http.socket === undefined) http.socket = new Socket(http);
    const { socket } = http;
    if (socket && !this.#followed) {
      this.#followed = socket;
      socket.follow(this.#id);
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
  const events = checked(data, "events").events.filter((/** @type {JobEvent} */ event) => event.seq > after);
  return { events, isHeld: events.length > 0 || /wait=[1-9]/.test(headers.get("preference-applied") ?? "") };
}
