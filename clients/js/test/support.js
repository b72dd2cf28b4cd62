/** Servers, clocks and sockets for tests. */

import assert from "node:assert/strict";
import { createServer } from "node:http";

/**
 * @typedef {{ method: string, path: string, headers: import("node:http").IncomingHttpHeaders, body: string }} Received
 * @typedef {{ status?: number, headers?: Record<string, string>, json?: unknown, text?: string }} Answer
 */

/** @typedef {Answer | ((request: Received) => Answer | Promise<Answer>)} Next */

/**
 * Serve answers in their order, the last one repeatedly, or those that a function returns.
 * @param {import("node:test").TestContext} t
 * @param {...Next} answers
 */
export async function serve(t, ...answers) {
  const { requests, next } = played(answers);
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const answer = await next({ method: String(request.method), path: String(request.url), headers: request.headers, body });
    response.writeHead(answer.status, answer.headers);
    response.end(answer.text);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => server.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}`, requests };
}

/**
 * Return a `fetch` that answers as `serve` does, without a network: nothing takes time.
 * @param {...Next} answers
 */
export function answering(...answers) {
  const { requests, next } = played(answers);
  const fetch = /** @type {typeof globalThis.fetch} */ (
    async (input, init) => {
      const { pathname, search } = new URL(String(input));
      const headers = Object.fromEntries(new Headers(init?.headers));
      const answer = await next({ method: String(init?.method), path: pathname + search, headers, body: String(init?.body ?? "") });
      return new Response(answer.text, answer);
    }
  );
  return { url: "http://127.0.0.1", fetch, requests };
}

/** @param {Next[]} answers */
function played(answers) {
  /** @type {Received[]} */
  const requests = [];
  const next = async (/** @type {Received} */ received) => {
    requests.push(received);
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    const { status = 200, headers = {}, json, text = "" } = typeof answer === "function" ? await answer(received) : answer;
    if (json === undefined) return { status, headers, text };
    return { status, headers: { "content-type": "application/json", ...headers }, text: JSON.stringify(json) };
  };
  return { requests, next };
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

/**
 * Return a clock that stands still until a test lets time pass. Then it ends one sleep after the other, each when nothing else
 * is left to do: so the machine's own time decides nothing.
 */
export function testClock() {
  let now = 0;
  /** @type {{ due: number, wake: () => void }[]} */
  let sleepers = [];
  const clock = {
    now: () => now,
    /**
     * @param {number} milliseconds
     * @param {AbortSignal | null} [signal]
     */
    sleep: (milliseconds, signal) =>
      new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
        const wake = () => {
          signal?.removeEventListener("abort", stop);
          resolve();
        };
        const sleeper = { due: now + milliseconds, wake };
        const stop = () => {
          sleepers = sleepers.filter((each) => each !== sleeper);
          reject(signal?.reason);
        };
        if (signal?.aborted) return reject(signal.reason);
        signal?.addEventListener("abort", stop, { once: true });
        sleepers = [...sleepers, sleeper].sort((one, other) => one.due - other.due);
      }),
    /**
     * Let time pass until a condition holds.
     * @param {() => boolean} condition
     * @param {() => string} [state] what to show if it never does
     */
    async until(condition, state = () => "") {
      for (;;) {
        for (let turns = 0; turns < SETTLED; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        if (condition()) return;
        const next = sleepers.shift();
        assert.ok(next && next.due < LONGEST_MS, `nothing happens any more after ${now} ms: ${state()}`);
        now = next.due;
        next.wake();
      }
    },
    /**
     * Let time pass until a promise is settled, and return what it brings.
     * @template T
     * @param {Promise<T>} promise
     */
    async over(promise) {
      let isOver = false;
      const end = () => (isOver = true);
      promise.then(end, end);
      await clock.until(() => isOver);
      return promise;
    },
  };
  return clock;
}

/** Turns of the event loop after which everything has happened that needs no time. */
const SETTLED = 20;
const LONGEST_MS = 86_400_000;

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
      if (opens) setImmediate(() => /** @type {any} */ (this).onopen({}));
    }
    /** @param {string} text */
    send(text) {
      this.sent.push(JSON.parse(text));
      setImmediate(() => script(JSON.parse(text), this));
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
