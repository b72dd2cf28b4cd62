/** Changes over the WebSocket, played by a class of the same shape. Pages use the real one on the deployed stack. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";

import { createClient } from "../src/index.js";
import { ENDED, OPENED, answering, change, record, sockets, testClock } from "./support.js";

/** Answer with a running job at first and with one that has ended once that is set. */
function jobs() {
  const ended = new Set();
  return {
    ended,
    /** @param {import("./support.js").Received} request */
    answer({ method, path }) {
      if (method === "POST") return OPENED;
      const id = path.split("/").at(-1) ?? "";
      return { json: record(ended.has(id) ? { ...ENDED, asyncJobId: id, seq: 9 } : { asyncJobId: id, seq: 2 }), headers: { "retry-after": "60" } };
    },
  };
}

/** @param {AsyncIterable<import("../src/types.js").Job>} updates */
async function progress(updates) {
  const found = [];
  for await (const job of updates) found.push(job.progress);
  return found;
}

test("changes come over the WebSocket, and the end from the record", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets((message, socket) => {
    if (message.action !== "watch") return;
    socket.receive({ type: "watching", asyncJobId: "j1", snapshot: null, id: "j1" });
    socket.receive({ type: "changes", changes: [change("j1", 3), change("other", 7)], more: false });
    const custom = { type: "custom", name: "rows_loaded", data: { rows: 7 }, progress: 30 };
    socket.receive({ type: "changes", changes: [change("j1", 3), change("j1", 4, custom), change("j1", 5)], more: false });
    api.ended.add("j1");
    socket.receive({ type: "changes", changes: [change("j1", 9, { type: "completed", status: "COMPLETED" })], more: false });
  });
  /** @type {string[]} */
  const connections = [];
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket });
  const found = await progress(client.job("j1").updates({ onConnection: (connection) => connections.push(connection) }));
  assert.deepEqual(found, [0, 30, 30, 50, 100]);
  assert.deepEqual(server.requests.map(({ method, path }) => `${method} ${path}`), ["GET /api/v1/jobs/j1", "POST /api/v1/tickets", "GET /api/v1/jobs/j1"]);
  assert.deepEqual(JSON.parse(server.requests[1].body), { scope: "owner", use: "connect" });
  assert.equal(made[0].url, OPENED.json.url);
  assert.deepEqual(made[0].sent, [{ action: "watch", asyncJobId: "j1", after: 2, id: "j1" }]);
  assert.deepEqual(connections, ["polling", "live"]);
  assert.equal(made[0].readyState, 3, "nobody follows a job any more");
});

test("a state that changed before the watch began is found", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const { webSocket } = sockets((_, socket) => {
    api.ended.add("j1");
    socket.receive({ type: "watching", asyncJobId: "j1", snapshot: change("j1", 9, { type: "snapshot" }), id: "j1" });
  });
  assert.deepEqual(await progress(createClient({ baseUrl: server.url, fetch: server.fetch, webSocket }).job("j1").updates()), [0, 100]);
});

test("all jobs of a client share one connection, which is left when the last one has ended", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(({ action, asyncJobId }, socket) => {
    if (action !== "watch") return;
    api.ended.add(asyncJobId);
    socket.receive({ type: "changes", changes: [change(asyncJobId, 9, { type: "completed" })], more: false });
  });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket });
  const found = await Promise.all(["a", "b", "c"].map((id) => progress(client.job(id).updates())));
  assert.deepEqual(found, [[0, 100], [0, 100], [0, 100]]);
  assert.equal(made.length, 1);
  assert.equal(made[0].readyState, 3);
});

test("a job that is left before its end is not watched any more", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(({ action, asyncJobId }, socket) => {
    if (action === "watch") socket.receive({ type: "changes", changes: [change(asyncJobId, 3)], more: false });
  });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  const stop = new AbortController();
  const other = progress(client.job("b").updates({ signal: stop.signal })).catch(() => "stopped");
  const leaves = async () => {
    for await (const { progress } of client.job("a").updates()) if (progress === 30) break;
  };
  await clock.over(leaves());
  await clock.until(() => made[0].sent.at(-1).action === "unwatch");
  assert.deepEqual(made[0].sent.at(-1), { action: "unwatch", asyncJobId: "a" });
  stop.abort();
  assert.equal(await other, "stopped");
});

test("a connection that breaks is opened again, and the record shows what was missed", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets((_, socket) => {
    if (made.length === 1) return socket.close();
    api.ended.add("j1");
    socket.receive({ type: "changes", changes: [change("j1", 9, { type: "completed" })], more: false });
  });
  assert.deepEqual(await clock.over(progress(createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock }).job("j1").updates())), [0, 100]);
  assert.equal(made.length, 2);
});

test("a connection that cannot be opened twice makes the client poll", async () => {
  const clock = testClock();
  const server = answering(({ method }) => (method === "POST" ? OPENED : { json: record({ seq: 2 }), headers: { "retry-after": "10" } }));
  const webSocket = /** @type {any} */ (
    class {
      constructor() {
        setImmediate(() => /** @type {any} */ (this).onerror({}));
      }
      close() {}
    }
  );
  /** @type {string[]} */
  const seen = [];
  const onConnection = (/** @type {string} */ connection) => seen.push(connection);
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  const wait = progress(client.job("j1").updates({ onConnection, giveUpMs: 50_000 }));
  await assert.rejects(clock.over(wait), { name: "GaveUp" });
  assert.deepEqual(seen, ["polling", "live", "polling"]);
  assert.equal(server.requests.filter(({ method }) => method === "POST").length, 2);
});

test("a handshake that never ends is given up after the time of a request, and closed", async () => {
  const clock = testClock();
  const server = answering(jobs().answer);
  const { made, webSocket } = sockets(() => {}, { opens: false });
  /** @type {[string, number][]} */
  const seen = [];
  const onConnection = (/** @type {string} */ connection) => seen.push([connection, made.length]);
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock, timeoutMs: 5_000 });
  await assert.rejects(clock.over(progress(client.job("j1").updates({ giveUpMs: 50_000, onConnection }))), { name: "GaveUp" });
  assert.deepEqual(made.map(({ readyState }) => readyState), [3, 3]);
  assert.deepEqual(seen, [["polling", 0], ["live", 0], ["polling", 2]], "the second failure makes the client poll");
});

test("a wait gives up at its time although the handshake does not end", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(() => {}, { opens: false });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  await assert.rejects(clock.over(progress(client.job("j1").updates({ giveUpMs: 300 }))), { name: "GaveUp" });
  assert.deepEqual(made.map(({ readyState }) => readyState), [3], "nobody waits for the handshake any more");
});

test("a signal ends one wait for the handshake, which goes on for the others", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(
    ({ action, asyncJobId }, socket) => {
      if (action !== "watch") return;
      api.ended.add(asyncJobId);
      socket.receive({ type: "changes", changes: [change(asyncJobId, 9, { type: "completed" })], more: false });
    },
    { opens: false },
  );
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  const stop = new AbortController();
  const live = new Set();
  const updates = (/** @type {string} */ id, /** @type {AbortSignal | undefined} */ signal) =>
    progress(client.job(id).updates({ signal, onConnection: (connection) => connection === "live" && live.add(id) }));
  const left = assert.rejects(updates("a", stop.signal), (reason) => reason === "enough");
  const other = updates("b", undefined);
  await clock.until(() => made.length === 1 && live.size === 2);
  stop.abort("enough");
  await clock.over(left);
  made[0].onopen({});
  assert.deepEqual(await clock.over(other), [0, 100]);
  assert.equal(made.length, 1);
});

test("a watch that is refused makes the client poll for that job", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const { webSocket } = sockets(({ action, id }, socket) => {
    if (action !== "watch") return;
    api.ended.add("j1");
    socket.receive({ type: "problem", problem: { status: 429, code: "TOO_MANY_WATCHES", title: "Too many watches" }, id });
  });
  assert.deepEqual(await progress(createClient({ baseUrl: server.url, fetch: server.fetch, webSocket }).job("j1").updates()), [0, 100]);
});

const WITHOUT = {
  "no WebSocket": { status: 400, json: { status: 400, code: "INVALID_REQUEST" } },
  "no tickets": { status: 404, json: { message: "Not Found" } },
  "no tickets, but a page for each address": { text: "<html>", headers: { "content-type": "text/html" } },
  "an error at each ticket": { status: 500, json: { status: 500, code: "INTERNAL_ERROR" } },
};
for (const [what, refused] of Object.entries(WITHOUT)) {
  test(`a server with ${what} is requested for its events, and for no ticket again`, async () => {
    const api = jobs();
    const server = answering((request) => {
      if (request.method === "POST") return refused;
      if (!request.path.includes("/events")) return api.answer(request);
      api.ended.add("j1");
      return { json: { events: [change("j1", 9, { type: "completed" })], seq: 9, more: false } };
    });
    const { webSocket, made } = sockets(() => {});
    const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket });
    assert.deepEqual(await progress(client.job("j1").updates()), [0, 100]);
    api.ended.clear();
    assert.deepEqual(await progress(client.job("j1").updates()), [0, 100]);
    assert.equal(made.length, 0);
    assert.equal(server.requests.filter(({ method }) => method === "POST").length, 1);
  });
}

test("a client with a ticket opens no WebSocket", async () => {
  const api = jobs();
  const server = answering((request) => {
    if (!request.path.includes("/events")) return api.answer(request);
    api.ended.add("j1");
    return { json: { events: [change("j1", 9, { type: "completed" })], seq: 9, more: false } };
  });
  const { webSocket } = sockets(() => {});
  await progress(createClient({ baseUrl: server.url, fetch: server.fetch, ticket: "ajt_read", webSocket }).job("j1").updates());
  assert.ok(server.requests.every(({ method, path }) => method === "GET" && path.startsWith("/api/v1/tickets/jobs/j1")));
});

test("a client with a ticket opens the connection that its page's server allows", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(({ action }, socket) => {
    if (action !== "watch") return;
    api.ended.add("j1");
    socket.receive({ type: "changes", changes: [change("j1", 9, { type: "completed" })], more: false });
  });
  const connect = async () => ({ url: "ws://127.0.0.1/v1?ticket=ajt_own" });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, ticket: "ajt_read", connect, webSocket });
  assert.deepEqual(await progress(client.job("j1").updates()), [0, 100]);
  assert.deepEqual(made.map(({ url }) => url), ["ws://127.0.0.1/v1?ticket=ajt_own"]);
  assert.ok(server.requests.every(({ method, path }) => method === "GET" && path === "/api/v1/tickets/jobs/j1"));
});

test("a connection is replaced before its time is over, and the job is watched from its last state on", async () => {
  const api = jobs();
  const server = answering(api.answer);
  const clock = testClock();
  const { made, webSocket } = sockets(({ action }, socket) => {
    if (action === "ping") return socket.receive({ type: "pong", seqs: {} });
    if (action !== "watch") return;
    if (made.length === 1) return socket.receive({ type: "watching", asyncJobId: "j1", snapshot: null, id: "j1" });
    api.ended.add("j1");
    socket.receive({ type: "watching", asyncJobId: "j1", snapshot: change("j1", 9, { type: "snapshot" }), id: "j1" });
  });
  /** @type {number[]} */
  const times = [];
  class Timed extends webSocket {
    /** @param {string} url */
    constructor(url) {
      super(url);
      times.push(clock.now());
    }
    close() {
      times.push(clock.now());
      super.close();
    }
  }
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket: /** @type {any} */ (Timed), clock });
  const found = await clock.over(progress(client.job("j1").updates({ giveUpMs: Infinity })));
  assert.deepEqual(found, [0, 100]);
  assert.deepEqual(made.map(({ readyState }) => readyState), [3, 3]);
  assert.equal(made[1].sent[0].after, 2);
  // A ticket of 15 minutes ends then, and the server sends nothing more.
  const age = (times[1] - times[0]) / 60_000;
  assert.ok(age >= 13 && age < 15, `${age} minutes`);
});

test("a connection that answers no ping is dead, and replaced", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(({ action }, socket) => {
    if (made.length === 1 || action !== "watch") return;
    api.ended.add("j1");
    socket.receive({ type: "watching", asyncJobId: "j1", snapshot: change("j1", 9, { type: "snapshot" }), id: "j1" });
  });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  assert.deepEqual(await clock.over(progress(client.job("j1").updates({ giveUpMs: Infinity }))), [0, 100]);
  assert.deepEqual(made[0].sent.map((/** @type {any} */ { action }) => action), ["watch", "ping"]);
  assert.ok(clock.now() <= 150_000, `${clock.now()} ms`);
});

test("a connection whose ticket is over is replaced, and not polled for", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { made, webSocket } = sockets(({ action }, socket) => {
    if (made.length === 1) {
      if (action === "ping") socket.receive({ type: "problem", problem: { status: 401, code: "INVALID_TICKET", title: "Invalid ticket" } });
      return;
    }
    if (action !== "watch") return;
    api.ended.add("j1");
    socket.receive({ type: "watching", asyncJobId: "j1", snapshot: change("j1", 9, { type: "snapshot" }), id: "j1" });
  });
  /** @type {string[]} */
  const connections = [];
  const options = { giveUpMs: Infinity, onConnection: (/** @type {string} */ connection) => connections.push(connection) };
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  await clock.over(progress(client.job("j1").updates(options)));
  assert.equal(made.length, 2);
  assert.ok(clock.now() <= 150_000, `${clock.now()} ms`);
  assert.deepEqual(connections, ["polling", "live"]);
});

/**
 * Play a job of a minute that changes every five seconds, whose polls are worthwhile every ten.
 * @param {ReturnType<typeof testClock>} clock
 */
function minute(clock) {
  const step = () => Math.floor(clock.now() / 5_000);
  const server = answering(({ method }) => {
    if (method === "POST") return OPENED;
    const state = step() < 12 ? { progress: step() * 8 } : ENDED;
    return { json: record({ seq: 2 + step(), ...state }), headers: { "retry-after": "10" } };
  });
  const { made, webSocket } = sockets(async ({ action }, socket) => {
    if (action !== "watch") return;
    while (step() < 12) {
      await clock.sleep(5_000);
      const state = step() < 12 ? { progress: step() * 8 } : { type: "completed", status: "COMPLETED" };
      socket.receive({ type: "changes", changes: [change("j1", 2 + step(), state)] });
    }
  });
  return { server, made, job: createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock }).job("j1") };
}

test("a live wait of a minute with twelve changes costs one connection and three requests", async () => {
  const clock = testClock();
  const { server, made, job } = minute(clock);
  const found = await clock.over(progress(job.updates()));
  assert.deepEqual(found, [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 100]);
  assert.equal(made.length, 1);
  assert.deepEqual(server.requests.map(({ method, path }) => `${method} ${path}`), ["GET /api/v1/jobs/j1", "POST /api/v1/tickets", "GET /api/v1/jobs/j1"]);
});

test("a wait of a minute without updates costs the polls that Retry-After allows", async () => {
  const clock = testClock();
  const { server, made, job } = minute(clock);
  assert.equal((await clock.over(job.wait())).status, "COMPLETED");
  assert.equal(made.length, 0);
  assert.ok(server.requests.length <= 1 + 60 / 10, `${server.requests.length} requests`);
});

test("a live wait gives up at its time, although the connection is silent", async () => {
  const clock = testClock();
  const server = answering(jobs().answer);
  const { webSocket } = sockets(() => {});
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  await assert.rejects(clock.over(progress(client.job("j1").updates({ giveUpMs: 10_000 }))), { name: "GaveUp" });
  assert.equal(clock.now(), 10_000);
});

test("of many changes in one message, the newest are shown", async () => {
  const clock = testClock();
  const api = jobs();
  const server = answering(api.answer);
  const { webSocket } = sockets(async ({ action }, socket) => {
    if (action !== "watch") return;
    socket.receive({ type: "changes", changes: Array.from({ length: 90 }, (_, index) => change("j1", 3 + index, { progress: index })) });
    await clock.sleep(1_000);
    api.ended.add("j1");
    socket.receive({ type: "changes", changes: [change("j1", 99, { type: "completed" })] });
  });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  const found = await clock.over(progress(client.job("j1").updates()));
  assert.deepEqual(found, [0, ...Array.from({ length: 50 }, (_, index) => 40 + index), 100]);
});

test("a ticket that is refused for now is requested again, and changes come over the WebSocket then", async () => {
  const clock = testClock();
  const api = jobs();
  let tickets = 0;
  const server = answering((request) => (request.method === "POST" && ++tickets === 1 ? { status: 429, headers: { "retry-after": "2" } } : api.answer(request)));
  const { made, webSocket } = sockets(({ action }, socket) => {
    if (action !== "watch") return;
    api.ended.add("j1");
    socket.receive({ type: "changes", changes: [change("j1", 9, { type: "completed" })] });
  });
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  assert.deepEqual(await clock.over(progress(client.job("j1").updates())), [0, 100]);
  assert.deepEqual([made.length, tickets], [1, 2]);
});

test("a long live wait leaves no listener on the caller's signal", async () => {
  const clock = testClock();
  const { job } = minute(clock);
  const { signal } = new AbortController();
  assert.equal((await clock.over(progress(job.updates({ signal })))).at(-1), 100);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
