/** A server and a clock for tests. */

import { createServer } from "node:http";

/**
 * @typedef {{ method: string, path: string, headers: import("node:http").IncomingHttpHeaders, body: string }} Received
 * @typedef {{ status?: number, headers?: Record<string, string>, json?: unknown, text?: string }} Answer
 */

/**
 * Serve answers in their order, the last one repeatedly, or those that a function returns.
 * @param {import("node:test").TestContext} t
 * @param {...(Answer | ((request: Received) => Answer | Promise<Answer>))} answers
 */
export async function serve(t, ...answers) {
  /** @type {Received[]} */
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const received = { method: String(request.method), path: String(request.url), headers: request.headers, body };
    requests.push(received);
    const next = answers[Math.min(requests.length, answers.length) - 1];
    const { status = 200, headers = {}, json, text = "" } = typeof next === "function" ? await next(received) : next;
    response.writeHead(status, json === undefined ? headers : { "content-type": "application/json", ...headers });
    response.end(json === undefined ? text : JSON.stringify(json));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, requests };
}

/** Return a clock on which a sleep takes no time, and the pauses that were slept. */
export function countingClock() {
  let now = 0;
  /** @type {number[]} */
  const pauses = [];
  return {
    pauses,
    now: () => now,
    /**
     * @param {number} milliseconds
     * @param {AbortSignal | null} [signal]
     */
    async sleep(milliseconds, signal) {
      signal?.throwIfAborted();
      now += milliseconds;
      pauses.push(milliseconds);
    },
  };
}

/** Return a clock on which each sleep takes a moment, in which other things happen. */
export function steppingClock() {
  let now = 0;
  return {
    now: () => now,
    /**
     * @param {number} milliseconds
     * @param {AbortSignal | null} [signal]
     */
    async sleep(milliseconds, signal) {
      const until = now + milliseconds;
      await new Promise((resolve) => setTimeout(resolve, 20));
      signal?.throwIfAborted();
      now = Math.max(now, until);
    },
  };
}

/** Return a clock that is 20 times as fast as that of the machine. */
export function quickClock() {
  return {
    now: () => performance.now() * 20,
    /**
     * @param {number} milliseconds
     * @param {AbortSignal | null} [signal]
     */
    sleep: (milliseconds, signal) =>
      new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
        const timer = setTimeout(resolve, milliseconds / 20);
        signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)));
      }),
  };
}

/** @param {string} id @param {number} seq @param {Record<string, unknown>} [members] */
export const change = (id, seq, members) => ({ asyncJobId: id, seq, type: "progress", status: "IN_PROGRESS", progress: seq * 10, message: null, attempt: 1, at: "2026-11-26T12:00:02.000Z", ...members });

/**
 * Return a job's record.
 * @param {Record<string, unknown>} [members]
 */
export function record(members) {
  return { asyncJobId: "j1", jobType: "text.search", status: "IN_PROGRESS", progress: 0, message: null, endedAt: null, ...members };
}

export const ENDED = { status: "COMPLETED", progress: 100, endedAt: "2026-11-26T12:00:09.000Z", resultType: "INLINE", result: 42 };

/** The answer to a request for a ticket that connects. */
export const OPENED = { status: 201, json: { ticket: "ajt_1", url: "ws://127.0.0.1/v1?ticket=ajt_1" } };

/**
 * Return a class of sockets that a script plays: it is called with each message of a client and the socket.
 * @param {(message: any, socket: any) => void} script
 * @param {{ opens?: boolean }} [options]
 */
export function sockets(script, { opens = true } = {}) {
  const made = /** @type {any[]} */ ([]);
  class Played {
    readyState = 1;
    sent = /** @type {any[]} */ ([]);
    /** @param {string} url */
    constructor(url) {
      this.url = url;
      made.push(this);
      if (opens) setTimeout(() => /** @type {any} */ (this).onopen({}));
    }
    /** @param {string} text */
    send(text) {
      this.sent.push(JSON.parse(text));
      setTimeout(() => script(JSON.parse(text), this));
    }
    /** @param {unknown} message */
    receive(message) {
      /** @type {any} */ (this).onmessage?.({ data: JSON.stringify(message) });
    }
    close() {
      this.readyState = 3;
      /** @type {any} */ (this).onclose?.({});
    }
  }
  return { made, webSocket: /** @type {any} */ (Played) };
}
