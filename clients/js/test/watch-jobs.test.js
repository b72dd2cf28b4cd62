/** The list of a user's jobs, as a page follows it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "../src/index.js";
import { JobsWatch } from "../src/watch-jobs.js";
import { ENDED, OPENED, answering, change, record, serve, sockets, testClock } from "./support.js";

const RUNNING = record({ asyncJobId: "a", seq: 2 });
const OTHER = record({ asyncJobId: "b", seq: 1, status: "PENDING" });
const DONE = record({ ...ENDED, asyncJobId: "a", seq: 9 });

/**
 * Follow the lists that an API answers with, the last one repeatedly, over connections that a script plays.
 * @param {import("node:test").TestContext} t
 * @param {{ lists: any[][], script?: (message: any, socket: any, made: any[], clock: ReturnType<typeof testClock>) => void, limit?: number, status?: string, refused?: any, pages?: number }} played
 */
function follow(t, { lists, script = () => {}, limit = 20, refused, status, pages = 1 }) {
  const clock = testClock();
  /** @type {number[]} */
  const reads = [];
  const server = answering(({ method }) => {
    if (method === "POST") return refused ?? OPENED;
    reads.push(clock.now() / 1000);
    const jobs = lists[Math.min(Math.ceil(reads.length / pages), lists.length) - 1];
    return { json: { jobs, nextCursor: pages > 1 ? "next" : null } };
  });
  const { made, webSocket } = sockets((message, socket) => script(message, socket, made, clock));
  const client = createClient({ baseUrl: server.url, fetch: server.fetch, webSocket, clock });
  const watch = new JobsWatch(client, { limit, status });
  /** @type {any[][]} */
  const shown = [];
  let before = watch.snapshot().jobs;
  const unsubscribe = watch.subscribe(() => {
    const { jobs } = watch.snapshot();
    if (jobs !== before) shown.push(jobs.map(({ id, status, progress }) => [id, status, progress]));
    before = jobs;
  });
  t.after(unsubscribe);
  const until = (/** @type {() => boolean} */ condition) => clock.until(condition, () => JSON.stringify([shown.slice(-2), reads, watch.snapshot().connection]));
  return { watch, shown, reads, made, server, until, unsubscribe, clock };
}

const watching = (/** @type {any} */ { action, scope }, /** @type {any} */ socket) => {
  if (action !== "watch") return;
  assert.equal(scope, "owner");
  socket.receive({ type: "watching", scope: "owner", id: "*" });
};

/**
 * Return a script that begins a watch, and goes on after four seconds, when the list has been read again.
 * @param {(play: { receive: (message: unknown) => void, sleep: (milliseconds: number) => Promise<void> }) => unknown} play
 */
function later(play) {
  return (/** @type {any} */ message, /** @type {any} */ socket, /** @type {any[]} */ _, /** @type {ReturnType<typeof testClock>} */ clock) => {
    watching(message, socket);
    if (message.action !== "watch") return;
    void clock.sleep(4_000).then(() => play({ receive: (each) => socket.receive(each), sleep: clock.sleep }));
  };
}

test("the list is read again when the watch has begun: a job may have changed before", async (t) => {
  const { shown, until, made } = follow(t, { lists: [[RUNNING], [DONE]], script: watching });
  await until(() => shown.length === 2);
  assert.deepEqual(shown, [[["a", "IN_PROGRESS", 0]], [["a", "COMPLETED", 100]]]);
  assert.deepEqual(made[0].sent, [{ action: "watch", scope: "owner", id: "*" }]);
});

test("progress is shown as it comes, without another request", async (t) => {
  const script = later(({ receive }) => [3, 5, 4].forEach((seq) => receive({ type: "changes", changes: [change("a", seq)] })));
  const { shown, until, reads } = follow(t, { lists: [[RUNNING, OTHER]], script });
  await until(() => shown.at(-1)?.[0][2] === 50);
  assert.deepEqual(shown.at(-1), [["a", "IN_PROGRESS", 50], ["b", "PENDING", 0]]);
  assert.equal(reads.length, 2);
});

for (const [what, event] of Object.entries({
  "of an unknown job": change("new", 1, { type: "created", status: "PENDING" }),
  "of a status": change("a", 9, { type: "completed", status: "COMPLETED" }),
  "of a status, by an event that shows it": change("a", 9, { type: "released", status: "PENDING" }),
  "of an unknown type": change("a", 9, { type: "paused" }),
})) {
  test(`a change ${what} makes it read the list`, async (t) => {
    const script = later(({ receive }) => receive({ type: "changes", changes: [event] }));
    const { until, reads } = follow(t, { lists: [[RUNNING]], script });
    await until(() => reads.length === 3);
    assert.deepEqual(reads, [0, 2, 4]);
  });
}

for (const [what, message] of Object.entries({
  "a message that has not all changes": { type: "changes", changes: [change("a", 3)], more: true },
  "more changes than are kept": { type: "changes", changes: Array.from({ length: 60 }, (_, index) => change("a", 3 + index)) },
})) {
  test(`${what} makes it read the list`, async (t) => {
    const script = later(({ receive }) => receive(message));
    const { until, reads } = follow(t, { lists: [[RUNNING]], script });
    await until(() => reads.length === 3);
    assert.deepEqual(reads, [0, 2, 4]);
  });
}

test("many changes make it read the list once in two seconds", async (t) => {
  const { until, reads } = follow(t, {
    lists: [[RUNNING]],
    script: later(async ({ receive, sleep }) => {
      for (let pushed = 0; pushed < 40; pushed += 1) {
        receive({ type: "changes", changes: [change("new", 1, { type: "created" })] });
        await sleep(100);
      }
    }),
  });
  await until(() => reads.length === 7);
  // The last one follows a silent minute.
  assert.deepEqual(reads, [0, 2, 4, 6, 8, 10, 70]);
});

test("a connection that breaks is opened again, and the list shows what was missed", async (t) => {
  const script = (/** @type {any} */ message, /** @type {any} */ socket, /** @type {any[]} */ made) => {
    if (made.length === 1) socket.close();
    else watching(message, socket);
  };
  const { shown, until, watch, made } = follow(t, { lists: [[RUNNING], [DONE]], script });
  await until(() => shown.at(-1)?.[0][1] === "COMPLETED" && made.length === 2);
  assert.equal(watch.snapshot().connection, "live");
});

test("without a WebSocket it polls, seldom while nothing runs", async (t) => {
  const refused = { status: 400, json: { status: 400, code: "INVALID_REQUEST" } };
  const { until, reads, watch, server } = follow(t, { lists: [[RUNNING], [RUNNING], [DONE]], refused });
  await until(() => reads.length === 5);
  assert.equal(watch.snapshot().connection, "polling");
  assert.deepEqual(reads, [0, 10, 20, 50, 80]);
  assert.equal(server.requests.filter(({ method }) => method === "POST").length, 1);
});

test("a connection that breaks twice makes it poll for a minute", async (t) => {
  const script = (/** @type {any} */ message, /** @type {any} */ socket, /** @type {any[]} */ made) => {
    if (made.length <= 2) socket.close();
    else watching(message, socket);
  };
  const { until, made, reads } = follow(t, { lists: [[RUNNING]], script });
  await until(() => made.length === 3);
  assert.ok(reads.length >= 6 && (reads.at(-1) ?? 0) >= 60, String(reads));
});

test("a list that cannot be read now is read later, and what was shown stays", async (t) => {
  let reads = 0;
  const clock = testClock();
  const { url, fetch } = answering(({ method }) => {
    if (method === "POST") return { status: 404, json: {} };
    reads += 1;
    return reads === 2 ? { status: 503 } : { json: { jobs: [reads === 1 ? RUNNING : DONE], nextCursor: null } };
  });
  const watch = new JobsWatch(createClient({ baseUrl: url, fetch, clock, maxRetries: 0 }), { limit: 20 });
  /** @type {Set<string>} */
  const seen = new Set();
  t.after(watch.subscribe(() => seen.add(`${watch.snapshot().jobs[0]?.status} ${watch.snapshot().error}`)));
  await clock.until(() => watch.snapshot().jobs[0]?.ended === true);
  assert.deepEqual([...seen], ["IN_PROGRESS null", "COMPLETED null"]);
});

test("a list that is refused ends it with the error", async (t) => {
  const server = await serve(t, { status: 401, json: { message: "Unauthorized" } });
  const watch = new JobsWatch(createClient({ baseUrl: server.url, token: "old" }), { limit: 20 });
  await new Promise((resolve) => t.after(watch.subscribe(() => watch.snapshot().connection === "closed" && resolve(undefined))));
  assert.equal(watch.snapshot().error.status, 401);
  assert.equal(server.requests.length, 1);
});

test("one job more than shown is read, to know whether there are others", async (t) => {
  const { until, shown, watch, server } = follow(t, { lists: [[RUNNING, OTHER]], limit: 1 });
  await until(() => shown.length === 1);
  assert.deepEqual(shown[0], [["a", "IN_PROGRESS", 0]]);
  assert.equal(watch.snapshot().hasMore, true);
  assert.equal(server.requests[0].path, "/api/v1/jobs?limit=2");
});

test("a filter that finds nothing reads three pages, and says that there may be others", async (t) => {
  const { until, watch, server } = follow(t, { lists: [[]], status: "FAILED", pages: 3, refused: { status: 404, json: {} } });
  await until(() => watch.snapshot().isRead && server.requests.length >= 4);
  assert.equal(watch.snapshot().hasMore, true);
  assert.deepEqual(server.requests.slice(0, 4).map(({ method }) => method), ["GET", "GET", "GET", "POST"]);
});

test("a list that nobody follows any more closes its connection and requests nothing", async (t) => {
  const { until, made, reads, unsubscribe, clock } = follow(t, { lists: [[RUNNING]], script: watching });
  await until(() => reads.length === 2);
  unsubscribe();
  await until(() => made[0].readyState === 3);
  const before = reads.length;
  await clock.over(clock.sleep(600_000));
  assert.equal(reads.length, before);
});

test("a job and the list of all share one connection", async () => {
  const clock = testClock();
  const { url, fetch } = answering(({ method, path }) => {
    if (method === "POST") return OPENED;
    return path.includes("?") ? { json: { jobs: [RUNNING], nextCursor: null } } : { json: DONE };
  });
  const { made, webSocket } = sockets((message, socket) => {
    if (message.scope) return watching(message, socket);
    if (message.action === "watch") socket.receive({ type: "changes", changes: [change("a", 9, { type: "completed", status: "COMPLETED" })] });
  });
  const client = createClient({ baseUrl: url, fetch, webSocket, clock });
  const watch = new JobsWatch(client, { limit: 20 });
  const unsubscribe = watch.subscribe(() => {});
  await clock.until(() => watch.snapshot().isRead);
  const [job] = watch.snapshot().jobs;
  assert.ok((await clock.over(job.wait({ onUpdate: () => {} }))).ended);
  assert.equal(made.length, 1);
  unsubscribe();
  await clock.until(() => made[0].readyState === 3);
});

test("a connection that breaks again after it has brought changes is opened again, and not polled for", async (t) => {
  const script = async (/** @type {any} */ message, /** @type {any} */ socket, /** @type {any[]} */ made, /** @type {ReturnType<typeof testClock>} */ clock) => {
    watching(message, socket);
    if (message.action !== "watch" || made.length === 3) return;
    await clock.sleep(3_000);
    socket.receive({ type: "changes", changes: [change("a", 2 + made.length)] });
    await clock.sleep(1_000);
    socket.close();
  };
  const { until, made, clock } = follow(t, { lists: [[RUNNING]], script });
  await until(() => made.length === 3);
  assert.ok(clock.now() < 30_000, `${clock.now()} ms`);
});
