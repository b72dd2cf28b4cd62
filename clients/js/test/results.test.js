/** Results, uploads and events where a connection breaks or an answer is late, played without a network. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { createClient } from "../src/index.js";
import { answering, countingClock, record } from "./support.js";

/**
 * Return a job whose result has five bytes, of which the storage sends these parts, each until the connection breaks.
 * @param {...import("./support.js").Answer} parts
 */
function storage(...parts) {
  const clock = countingClock();
  let sent = 0;
  const { url, fetch, requests } = answering(/** @returns {import("./support.js").Answer} */ ({ path }) => {
    if (path.endsWith("/result")) return { status: 303, headers: { location: "/storage" } };
    const { headers, ...part } = parts[Math.min(sent++, parts.length - 1)];
    return { status: sent > 1 ? 206 : 200, ...part, headers: { etag: "e", "content-length": "5", ...headers } };
  });
  return { job: createClient({ baseUrl: url, fetch, clock }).job("j1"), clock, requests };
}

test("a body that ends early goes on from the byte that is missing", async () => {
  const { job, clock, requests } = storage({ text: "ab" }, { text: "c" }, { text: "de" });
  assert.equal(await (await job.open()).text(), "abcde");
  assert.deepEqual(requests.slice(2).map(({ headers }) => [headers.range, headers["if-match"]]), [["bytes=2-", "e"], ["bytes=3-", "e"]]);
  assert.deepEqual(clock.pauses, [], "each connection has brought something");
});

test("a storage that sends nothing is requested after pauses that grow, and then given up", async () => {
  const { job, clock } = storage({ text: "ab" }, { text: "" });
  await assert.rejects((await job.open()).text(), { name: "ApiConnectionError" });
  assert.equal(clock.pauses.length, 4);
});

test("the length of a compressed body is not that of its text", async () => {
  const { job } = storage({ text: "abc", headers: { "content-encoding": "gzip" } });
  assert.equal(await (await job.open()).text(), "abc");
});

test("a download that fails leaves the earlier file, and no part of a new one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "download-"));
  const path = join(folder, "result");
  await writeFile(path, "earlier");
  await assert.rejects(storage({ text: "ab" }, { status: 404 }).job.download(path), { name: "NotFound" });
  assert.equal(await readFile(path, "utf8"), "earlier");
  assert.deepEqual(await readdir(folder), ["result"]);
  await storage({ text: "abcde" }).job.download(path);
  assert.equal(await readFile(path, "utf8"), "abcde");
});

test("an upload has the headers of its link but the length, which is the transport's", async () => {
  const link = { key: "uploads/u1", url: "http://127.0.0.1/storage", method: "PUT", headers: { "Content-Length": "1", "x-amz-meta-a": "b" } };
  const { url, fetch, requests } = answering(({ method }) => (method === "POST" ? { status: 201, json: link } : {}));
  await createClient({ baseUrl: url, fetch }).upload(new Blob(["x"]));
  assert.deepEqual(requests[1].headers, { "x-amz-meta-a": "b" });
});

test("a signal ends the upload of a file inside an input", async () => {
  const stop = new AbortController();
  const { url, fetch, requests } = answering(() => {
    stop.abort("enough");
    return { status: 503 };
  });
  const submit = createClient({ baseUrl: url, fetch, clock: countingClock() }).submit("a.b", { file: new Blob(["x"]) }, { signal: stop.signal });
  await assert.rejects(submit, (reason) => reason === "enough");
  assert.equal(requests.length, 1);
});

for (const reason of ["enough", null, Object.freeze({ why: "enough" })]) {
  test(`a signal that is aborted with ${JSON.stringify(reason)} while the storage answers is the error`, async () => {
    const link = { key: "uploads/u1", url: "http://127.0.0.1/storage", method: "PUT", headers: {} };
    for (const call of [
      (/** @type {any} */ client, /** @type {any} */ options) => client.upload(new Blob(["x"]), options),
      (/** @type {any} */ client, /** @type {any} */ options) => client.job("j1").open(options),
    ]) {
      const stop = new AbortController();
      const { url, fetch, requests } = answering(({ path }) => {
        if (path.endsWith("/uploads")) return { status: 201, json: link };
        if (path.endsWith("/result")) return { status: 303, headers: { location: "/storage" } };
        stop.abort(reason);
        return { status: 503 };
      });
      const client = createClient({ baseUrl: url, fetch, clock: countingClock() });
      await assert.rejects(call(client, { signal: stop.signal }), (thrown) => thrown === reason);
      assert.equal(requests.length, 2);
    }
  });
}

for (const reason of ["enough", null]) {
  test(`a signal that is aborted with ${JSON.stringify(reason)} is the error of a request and of a submit`, async () => {
    for (const call of [
      (/** @type {any} */ client, /** @type {any} */ options) => client.get("j1", options),
      (/** @type {any} */ client, /** @type {any} */ options) => client.submit("a.b", {}, options),
    ]) {
      const stop = new AbortController();
      const { url, fetch } = answering(() => {
        stop.abort(reason);
        return { status: 503 };
      });
      const client = createClient({ baseUrl: url, fetch, clock: countingClock() });
      await assert.rejects(call(client, { signal: stop.signal }), (thrown) => thrown === reason);
    }
  });
}

test("a submit is held for 20 seconds at most", async () => {
  const { url, fetch, requests } = answering({ status: 202, json: record() });
  const jobs = createClient({ baseUrl: url, fetch });
  await jobs.submit("a.b", {}, { waitSeconds: 60 });
  await jobs.submit("a.b", {}, { waitSeconds: 5 });
  await jobs.submit("a.b");
  assert.deepEqual(requests.map(({ headers }) => headers.prefer), ["wait=20", "wait=5", "respond-async"]);
});

test("events go on until the log has the last one that the record counts", async () => {
  const held = { "preference-applied": "wait=20" };
  const pages = [[{ seq: 8, type: "progress" }], [], [{ seq: 9, type: "completed" }]];
  const { url, fetch } = answering(({ path }) =>
    path.includes("/events") ? { json: { events: pages.shift() ?? [] }, headers: held } : { json: record({ status: "COMPLETED", endedAt: "2026-11-26T12:00:09.000Z", seq: 9 }) },
  );
  const seqs = [];
  for await (const { seq } of createClient({ baseUrl: url, fetch, clock: countingClock() }).job("j1").events({ after: 7 })) seqs.push(seq);
  assert.deepEqual(seqs, [8, 9]);
});

test("events that the server does not hold a request for are read when Retry-After says", async () => {
  const clock = countingClock();
  const pages = [[], [{ seq: 3, type: "completed" }]];
  const { url, fetch } = answering(({ path }) => {
    if (path.includes("/events")) return { json: { events: pages.shift() } };
    return pages.length ? { json: record({ seq: 2 }), headers: { "retry-after": "30" } } : { json: record({ status: "COMPLETED", endedAt: "2026-11-26T12:00:09.000Z", seq: 3 }) };
  });
  for await (const { seq } of createClient({ baseUrl: url, fetch, clock }).job("j1").events()) assert.equal(seq, 3);
  assert.ok(clock.now() >= 30_000, `${clock.now()} ms`);
});

test("a request for changes is held no longer than its wait lasts", async () => {
  const { url, fetch, requests } = answering(({ path }) => (path.includes("/events") ? { json: { events: [] } } : { json: record({ seq: 1 }), headers: { "retry-after": "2" } }));
  const wait = createClient({ baseUrl: url, fetch, clock: countingClock(), webSocket: null }).job("j1").wait({ giveUpMs: 5_000, onUpdate: () => {} });
  await assert.rejects(wait, { name: "GaveUp" });
  assert.deepEqual(requests.map(({ path }) => path).filter((path) => path.includes("/events")), ["/api/v1/jobs/j1/events?after=1&wait=5"]);
});
