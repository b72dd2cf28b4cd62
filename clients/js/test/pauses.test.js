/** The pauses after failures: as long as the server says, by whatever call. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff, jittered } from "../src/http.js";
import { Unavailable, createClient } from "../src/index.js";
import { ENDED, answering, countingClock, record, serve } from "./support.js";

/**
 * @typedef {import("./support.js").Answer} Answer
 * @typedef {import("../src/types.js").Client} Client
 * @typedef {object} Play
 * @property {(client: Client) => Promise<unknown>} call
 * @property {(Answer | ((request: import("./support.js").Received) => Answer))[]} before the failure
 * @property {Answer[]} after
 */

const busy = (/** @type {number} */ seconds) => ({ status: 503, headers: { "retry-after": String(seconds) } });
const failed = record({ status: "FAILED", endedAt: ENDED.endedAt });
const link = (/** @type {import("./support.js").Received} */ { headers }) => ({
  status: 201,
  json: { key: "uploads/u1", url: `http://${headers.host}/storage`, method: "PUT", headers: {} },
});
const found = (/** @type {unknown[]} */ ...events) => ({ json: { events }, headers: { "preference-applied": "wait=20" } });
const running = { json: record({ seq: 2 }), headers: { "retry-after": "2" } };
const ended = { json: record({ ...ENDED, seq: 3 }) };
const updates = async (/** @type {Client} */ client) => {
  for await (const job of client.job("j1").updates({ giveUpMs: Infinity })) assert.equal(job.id, "j1");
};
const events = async (/** @type {Client} */ client) => {
  for await (const event of client.job("j1").events()) assert.equal(event.seq, 3);
};

/** Calls that end when the pause is too long. @type {Record<string, Play>} */
const CALLS = {
  "a request": { call: (client) => client.get("j1"), before: [], after: [{ json: record() }] },
  "an upload": { call: (client) => client.upload(new Blob(["x"])), before: [link], after: [{}] },
  "a download": {
    call: async (client) => (await client.job("j1").open()).text(),
    before: [{ status: 303, headers: { location: "/storage" } }],
    after: [{ text: "x" }],
  },
  "a retry": {
    call: async (client) => (await client.get("j1")).retry(),
    before: [{ json: failed }],
    after: [{ json: failed }, { json: record() }],
  },
};

/** Waits, which no failure of this kind ends. @type {Record<string, Play>} */
const WAITS = {
  "a poll": { call: updates, before: [], after: [ended] },
  "a poll between live changes": { call: updates, before: [running, found()], after: [ended] },
  "a first request for changes": { call: updates, before: [running], after: [ended] },
  "a second request for changes": { call: updates, before: [running, { status: 503 }, running], after: [ended] },
  "a request for events": { call: events, before: [], after: [found({ seq: 3, type: "completed" }), ended] },
};

/**
 * Play a call on a clock that only counts, and return the time of each request.
 * @param {import("node:test").TestContext} t
 * @param {Play} play
 * @param {number} seconds those in `Retry-After` of the failure
 */
async function played(t, { call, before, after }, seconds) {
  const clock = countingClock();
  /** @type {number[]} */
  const times = [];
  const answers = [...before, busy(seconds), ...after].map((answer) => (/** @type {import("./support.js").Received} */ request) => {
    times.push(clock.now());
    return typeof answer === "function" ? answer(request) : answer;
  });
  const server = await serve(t, ...answers);
  const thrown = await call(createClient({ baseUrl: server.url, clock, webSocket: null })).then(() => null, (error) => error);
  return { thrown, times };
}

/**
 * @param {import("node:test").TestContext} t
 * @param {Play} play
 * @param {number} seconds
 */
async function assertPauses(t, play, seconds) {
  const { thrown, times } = await played(t, play, seconds);
  assert.equal(thrown, null, String(thrown?.stack));
  assert.equal(times.length, play.before.length + 1 + play.after.length);
  const pause = (times[play.before.length + 1] - times[play.before.length]) / 1000;
  assert.ok(pause >= seconds && pause <= seconds * 1.1, `${pause} s`);
}

for (const [what, play] of Object.entries({ ...CALLS, ...WAITS })) {
  test(`${what} is repeated after the seconds in Retry-After, and up to a tenth more`, (t) => assertPauses(t, play, 90));
}

for (const [what, play] of Object.entries(WAITS)) {
  test(`${what} waits also for a Retry-After of more than two minutes`, (t) => assertPauses(t, play, 600));
}

for (const [what, play] of Object.entries(CALLS)) {
  test(`${what} is not repeated after a Retry-After of more than two minutes`, async (t) => {
    const { thrown, times } = await played(t, play, 600);
    assert.ok(thrown instanceof Unavailable, String(thrown?.stack));
    assert.equal(thrown.retryAfterMs, 600_000);
    assert.equal(times.length, play.before.length + 1);
  });
}

test("a pause without Retry-After is a random part of a bound that doubles, up to 20 s", (t) => {
  t.mock.method(Math, "random", () => 0.5);
  assert.deepEqual([0, 1, 2, 5, 6, 20].map(backoff), [250, 500, 1000, 8000, 10_000, 10_000]);
});

test("clients that received the same Retry-After return at different times", (t) => {
  const parts = [0, 0.5, 1];
  t.mock.method(Math, "random", () => parts.shift());
  assert.deepEqual([1000, 1000, 1000].map(jittered), [1000, 1050, 1100]);
});

for (const [status, requests] of Object.entries({ 400: 1, 408: 2, 409: 1, 429: 2, 501: 1, 502: 2, 503: 2, 504: 2 })) {
  test(`a request that ends as ${status} is ${requests > 1 ? "repeated" : "not repeated"}`, async () => {
    const { url, fetch, requests: seen } = answering({ status: Number(status), json: { title: "No" } }, { json: record() });
    await createClient({ baseUrl: url, fetch, clock: countingClock() }).get("j1").catch(() => {});
    assert.equal(seen.length, requests);
  });
}

test("a retry that came too soon is sent again, without a look at the record", async () => {
  const { url, fetch, requests } = answering({ json: failed }, { status: 429, json: { code: "TOO_MANY_REQUESTS" } }, { json: record() });
  await (await createClient({ baseUrl: url, fetch, clock: countingClock() }).get("j1")).retry();
  assert.deepEqual(requests.map(({ method }) => method), ["GET", "POST", "POST"]);
});

test("a pause of more than 24 days is not over immediately", async () => {
  const { url, fetch, requests } = answering({ json: record(), headers: { "retry-after": String(30 * 86_400) } });
  const stop = new AbortController();
  const wait = createClient({ baseUrl: url, fetch }).job("j1").wait({ giveUpMs: Infinity, signal: stop.signal });
  setTimeout(() => stop.abort("enough"), 50);
  await assert.rejects(wait, (reason) => reason === "enough");
  assert.equal(requests.length, 1);
});
