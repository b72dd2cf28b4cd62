/** The pauses after failures: as long as the server says, by whatever call. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Unavailable, createClient } from "../src/index.js";
import { ENDED, countingClock, record, serve } from "./support.js";

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
