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

/**
 * Return a job's record.
 * @param {Record<string, unknown>} [members]
 */
export function record(members) {
  return { asyncJobId: "j1", jobType: "text.search", status: "IN_PROGRESS", progress: 0, message: null, endedAt: null, ...members };
}

export const ENDED = { status: "COMPLETED", progress: 100, endedAt: "2026-11-26T12:00:09.000Z", resultType: "INLINE", result: 42 };
