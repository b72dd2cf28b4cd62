/** What the client does beyond the contract of all clients: signals, addresses, tokens, files, values. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";

import { ApiConnectionError, Conflict, GaveUp, Unauthorized, createClient } from "../src/index.js";
import { ENDED, answering, countingClock, record, serve } from "./support.js";

test("an aborted signal ends the wait with its reason and sends nothing about the job", async (t) => {
  const stop = new AbortController();
  const server = await serve(t, () => {
    setTimeout(() => stop.abort("enough"), 100);
    return { json: record(), headers: { "retry-after": "60" } };
  });
  const wait = createClient({ baseUrl: server.url }).job("j1").wait({ signal: stop.signal });
  await assert.rejects(wait, (reason) => reason === "enough");
  assert.deepEqual(server.requests.map(({ method }) => method), ["GET"]);
});

test("a signal that was aborted before sends no request", async (t) => {
  const server = await serve(t, { json: record() });
  const jobs = createClient({ baseUrl: server.url });
  await assert.rejects(jobs.submit("text.search", {}, { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(server.requests.length, 0);
});

test("an aborted signal ends a request that is under way", async (t) => {
  const stop = new AbortController();
  const server = await serve(t, () => {
    stop.abort("enough");
    return new Promise(() => {});
  });
  await assert.rejects(createClient({ baseUrl: server.url }).get("j1", { signal: stop.signal }), (reason) => reason === "enough");
});

test("a job by its id needs no request, and has its id before any", async (t) => {
  const server = await serve(t, { json: record() });
  const job = createClient({ baseUrl: server.url }).job("j1");
  assert.deepEqual([job.id, job.data, job.ended, server.requests.length], ["j1", null, false, 0]);
});

test("an aborted signal ends an upload with its reason", { timeout: 60_000 }, async (t) => {
  const stop = new AbortController();
  const server = await serve(t, (request) => {
    if (request.path.endsWith("/uploads")) return { status: 201, json: { key: "uploads/u1", url: `${server.url}/storage`, method: "PUT", headers: {} } };
    stop.abort("enough");
    return new Promise(() => {});
  });
  const upload = createClient({ baseUrl: server.url }).upload(new Blob(["x"]), { signal: stop.signal });
  await assert.rejects(upload, (reason) => reason === "enough");
  assert.deepEqual(server.requests.map(({ method }) => method), ["POST", "PUT"]);
});

test("an aborted signal ends a result that is being read", { timeout: 60_000 }, async (t) => {
  const stop = new AbortController();
  const endless = createServer((request, response) => {
    response.writeHead(200, { "content-length": "1000" });
    response.write("x");
  });
  await new Promise((resolve) => endless.listen(0, "127.0.0.1", () => resolve(undefined)));
  t.after(() => (endless.closeAllConnections(), endless.close()));
  const { port } = /** @type {import("node:net").AddressInfo} */ (endless.address());
  const server = await serve(t, { status: 303, headers: { location: `http://127.0.0.1:${port}/` } });
  const response = await createClient({ baseUrl: server.url }).job("j1").open({ signal: stop.signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  assert.equal((await reader.read()).value?.length, 1);
  stop.abort("enough");
  await assert.rejects(reader.read(), (reason) => reason === "enough");
  assert.equal(server.requests.length, 1);
});

test("events go on after the one that the caller has", async (t) => {
  const server = await serve(t, { json: { events: [{ seq: 8, type: "completed" }] } }, { json: record({ ...ENDED, seq: 8 }) });
  const seqs = [];
  for await (const { seq } of createClient({ baseUrl: server.url }).job("j1").events({ after: 7 })) seqs.push(seq);
  assert.deepEqual(seqs, [8]);
  assert.match(server.requests[0].path, /events\?after=7&/);
});

test("a long wait leaves no listener on the caller's signal", async (t) => {
  const clock = countingClock();
  const answers = Array.from({ length: 30 }, (_, progress) => ({ json: record({ progress }) }));
  const server = await serve(t, ...answers, { json: record(ENDED) });
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (/** @type {any[]} */ ...given) => ((listeners += 1), /** @type {any} */ (add)(...given));
  signal.removeEventListener = (/** @type {any[]} */ ...given) => ((listeners -= 1), /** @type {any} */ (remove)(...given));
  await createClient({ baseUrl: server.url, clock }).job("j1").wait({ signal });
  assert.equal(server.requests.length, 31);
  assert.equal(listeners, 0);
});

for (const path of ["", "/", "/api/v1", "/api/v1/", "/prod", "/prod/api/v1/"]) {
  test(`the API is found from an address that ends with "${path}"`, async (t) => {
    const server = await serve(t, { json: record() });
    await createClient({ baseUrl: server.url + path }).get("j1");
    assert.equal(server.requests[0].path, `${path.startsWith("/prod") ? "/prod" : ""}/api/v1/jobs/j1`);
  });
}

test("without options, the environment has the address and the token", async (t) => {
  const server = await serve(t, { json: record() });
  Object.assign(process.env, { ASYNCJOBS_URL: server.url, ASYNCJOBS_TOKEN: "from-environment" });
  t.after(() => ["ASYNCJOBS_URL", "ASYNCJOBS_TOKEN"].forEach((name) => delete process.env[name]));
  await createClient().get("j1");
  assert.equal(server.requests[0].headers.authorization, "Bearer from-environment");
});

test("with() returns a client with another token, and leaves the first one as it is", async (t) => {
  const server = await serve(t, { json: record() });
  const first = createClient({ baseUrl: server.url, token: "one" });
  await first.with({ token: "two" }).get("j1");
  await first.get("j1");
  assert.deepEqual(server.requests.map(({ headers }) => headers.authorization), ["Bearer two", "Bearer one"]);
});

test("requests at the same time share one call of the token function, also after a 401", async (t) => {
  const tokens = ["old", "new", "newer"];
  const server = await serve(t, ({ headers }) => (headers.authorization === "Bearer old" ? { status: 401 } : { json: record() }));
  const jobs = createClient({ baseUrl: server.url, token: async () => String(tokens.shift()) });
  await Promise.all([1, 2, 3].map(() => jobs.get("j1")));
  assert.deepEqual(tokens, ["newer"]);
});

test("a token function that fails once is called again", async (t) => {
  const server = await serve(t, { json: record() });
  let calls = 0;
  const token = () => (++calls === 1 ? Promise.reject(new Error("signed out")) : "token");
  const jobs = createClient({ baseUrl: server.url, token });
  await assert.rejects(jobs.get("j1"), /signed out/);
  await jobs.get("j1");
  assert.equal(calls, 2);
});

test("a token that is a text is not sent again after a 401", async (t) => {
  const server = await serve(t, { status: 401, json: { message: "Unauthorized" } });
  await assert.rejects(createClient({ baseUrl: server.url, token: "old" }).get("j1"), Unauthorized);
  assert.equal(server.requests.length, 1);
});

test("a page that is not the API's is an error that names baseUrl", async (t) => {
  const server = await serve(t, { text: "<html>", headers: { "content-type": "text/html" } });
  await assert.rejects(createClient({ baseUrl: server.url }).get("j1"), (error) => error instanceof ApiConnectionError && /baseUrl/.test(error.message));
});

/** Calls that read members of an answer. @type {Record<string, (client: any) => Promise<unknown>>} */
const NAMED = {
  types: (client) => client.types(),
  list: (client) => client.list().next(),
  get: (client) => client.get("j1"),
  submit: (client) => client.submit("text.search"),
  upload: (client) => client.upload(new Blob(["x"])),
  wait: (client) => client.job("j1").wait(),
  updates: (client) => client.job("j1").updates({ giveUpMs: Infinity }).next(),
  events: (client) => client.job("j1").events().next(),
};
for (const [what, call] of Object.entries(NAMED)) {
  test(`the JSON of another API is an error of ${what} that names baseUrl`, async () => {
    for (const json of [{ hello: "world" }, [], "text", null]) {
      const { url, fetch, requests } = answering({ json });
      const isExpected = (/** @type {any} */ error) => error instanceof ApiConnectionError && /baseUrl/.test(error.message);
      await assert.rejects(call(createClient({ baseUrl: url, fetch })), isExpected);
      assert.equal(requests.length, 1);
    }
  });
}

test("two submits have two keys", async (t) => {
  const server = await serve(t, { status: 202, json: record() });
  const jobs = createClient({ baseUrl: server.url });
  await jobs.submit("text.search");
  await jobs.submit("text.search");
  const [first, second] = server.requests.map(({ headers }) => headers["idempotency-key"]);
  assert.match(String(first), /^[0-9a-f]{32}$/);
  assert.notEqual(first, second);
});

test("run shows the job to onUpdate before it waits, so that its id is known", async (t) => {
  const server = await serve(t, { status: 202, json: record({ status: "PENDING" }), headers: { "retry-after": "9" } });
  const stop = new AbortController();
  /** @type {string[]} */
  const seen = [];
  const onUpdate = (/** @type {any} */ job) => {
    seen.push(job.id);
    stop.abort(new Error("enough"));
  };
  await assert.rejects(createClient({ baseUrl: server.url }).run("text.search", {}, { onUpdate, signal: stop.signal }), /enough/);
  assert.deepEqual(seen, ["j1"]);
  assert.equal(server.requests.length, 1);
});

test("a wait that gives up has the job, which can be waited for again", async (t) => {
  const clock = countingClock();
  const server = await serve(t, { json: record({ progress: 40 }), headers: { "retry-after": "8" } }, { json: record({ progress: 60 }) }, { json: record(ENDED) });
  const jobs = createClient({ baseUrl: server.url, clock });
  const gaveUp = await jobs.job("j1").wait({ giveUpMs: 5000 }).catch((error) => error);
  assert.ok(gaveUp instanceof GaveUp);
  assert.equal(gaveUp.job.progress, 60);
  assert.equal(await jobs.job(gaveUp.job.id).result(), 42);
});

/** @type {Record<string, [(stop: AbortController) => Response, (error: any) => boolean]>} */
const CANCELS = {
  "is too late": [
    () => Response.json({ code: "JOB_ENDED" }, { status: 409 }),
    (error) => error instanceof GaveUp && error.job.progress === 40 && error.cause instanceof Conflict,
  ],
  "loses its connection": [
    () => {
      throw new TypeError("reset");
    },
    (error) => error instanceof GaveUp && error.cause instanceof ApiConnectionError,
  ],
  "is aborted": [
    (stop) => {
      stop.abort("enough");
      throw new TypeError("aborted");
    },
    (error) => error === "enough",
  ],
};
for (const [what, [answer, isExpected]] of Object.entries(CANCELS)) {
  test(`a wait that gives up ends so although its cancel ${what}`, async () => {
    const stop = new AbortController();
    const fetch = /** @type {typeof globalThis.fetch} */ (
      async (_, init) => (init?.method === "POST" ? answer(stop) : Response.json(record({ progress: 40 }), { headers: { "retry-after": "8" } }))
    );
    const client = createClient({ baseUrl: "http://127.0.0.1", fetch, clock: countingClock() });
    await assert.rejects(client.job("j1").wait({ giveUpMs: 5000, cancelOnGiveUp: true, signal: stop.signal }), isExpected);
  });
}

test("an error in onUpdate ends the wait with that error", async (t) => {
  const server = await serve(t, { json: record() });
  const onUpdate = () => {
    throw new TypeError("mine");
  };
  await assert.rejects(createClient({ baseUrl: server.url }).job("j1").wait({ onUpdate }), /mine/);
});

test("leaving the loop over updates sends no further request", async (t) => {
  const server = await serve(t, { json: record() });
  for await (const job of createClient({ baseUrl: server.url }).job("j1").updates()) {
    assert.equal(job.progress, 0);
    break;
  }
  assert.equal(server.requests.length, 1);
});

test("a job is JSON as the API sent it", async (t) => {
  const server = await serve(t, { json: record({ novelty: 1 }) });
  const job = await createClient({ baseUrl: server.url }).get("j1");
  assert.deepEqual(JSON.parse(JSON.stringify(job)), record({ novelty: 1 }));
});

for (const name of ["token", "ticket"]) {
  test(`a client that is logged does not show its ${name}`, async (t) => {
    const server = await serve(t, { json: record() });
    const client = createClient({ baseUrl: server.url, [name]: "ajt_secret" });
    const job = await client.with({ maxRetries: 1 }).get("j1");
    for (const logged of [client, client.with({ maxRetries: 1 }), job, client.job("j2")]) {
      assert.doesNotMatch(inspect(logged, { depth: 9 }) + JSON.stringify(logged), /ajt_secret/);
    }
    assert.equal(server.requests[0].headers.authorization, "Bearer ajt_secret");
  });
}

test("a tracked job that is logged does not show the token of its worker", async (t) => {
  const server = await serve(t, { status: 201, json: record({ workerToken: "ajw_secret" }) });
  const job = await createClient({ baseUrl: server.url }).tracked.create();
  assert.doesNotMatch(inspect(job, { depth: 9 }) + inspect(new GaveUp("Enough", job), { depth: 9 }), /ajw_secret/);
  assert.deepEqual(JSON.parse(JSON.stringify(job)), record());
  assert.deepEqual([job.workerToken, job.data?.workerToken], ["ajw_secret", "ajw_secret"]);
});

test("the dates and files of an input are sent as JSON and as keys of uploads", async (t) => {
  const server = await serve(t, (request) =>
    request.path.endsWith("/uploads")
      ? { status: 201, json: { key: "uploads/u1", url: `${server.url}/storage`, method: "PUT", headers: {} } }
      : { status: 202, json: record() },
  );
  const input = { at: new Date(0), documents: [{ key: new File(["%PDF-"], "a.pdf", { type: "application/pdf" }) }], none: null };
  await createClient({ baseUrl: server.url }).submit("text.search", input);
  const sent = JSON.parse(/** @type {any} */ (server.requests.at(-1)).body);
  assert.deepEqual(sent.input, { at: "1970-01-01T00:00:00.000Z", documents: [{ key: "uploads/u1" }], none: null });
});

test("an upload of a file in Node.js streams it and reports how much has been sent", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "upload-"));
  const content = "x".repeat(300_000);
  await writeFile(join(folder, "large"), content);
  const server = await serve(t, (request) =>
    request.path.endsWith("/uploads") ? { status: 201, json: { key: "uploads/u1", url: `${server.url}/storage`, method: "PUT", headers: {} } } : {},
  );
  /** @type {{ loaded: number, total: number }[]} */
  const seen = [];
  const key = await createClient({ baseUrl: server.url }).upload(join(folder, "large"), { onProgress: (progress) => seen.push(progress) });
  assert.equal(key, "uploads/u1");
  assert.equal(server.requests[1].body, content);
  assert.equal(server.requests[1].headers["content-length"], "300000");
  assert.ok(seen.length > 1);
  assert.deepEqual(seen.at(-1), { loaded: 300_000, total: 300_000 });
});

test("a result that is not JSON is a Blob of its type", async (t) => {
  const ended = record({ ...ENDED, resultType: "S3", result: null });
  const server = await serve(t, { json: ended }, (request) => ({ status: 303, headers: { location: "/storage" } }), { text: "a,b", headers: { "content-type": "text/csv" } });
  const found = await createClient({ baseUrl: server.url }).job("j1").result();
  assert.deepEqual([found.type, await found.text()], ["text/csv", "a,b"]);
});

test("a download is a whole file, or none", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "download-"));
  const server = await serve(t, { status: 303, headers: { location: "/storage" } }, { text: "whole" }, { status: 303, headers: { location: "/storage" } }, { status: 404 });
  const job = createClient({ baseUrl: server.url }).job("j1");
  await job.download(join(folder, "result"));
  assert.equal(await readFile(join(folder, "result"), "utf8"), "whole");
  await assert.rejects(job.download(join(folder, "other")));
  assert.deepEqual(await readdir(folder), ["result"]);
});

for (const baseUrl of ["", "api.example.com", "127.0.0.1:4567", "localhost:4567"]) {
  test(`"${baseUrl}" is no address, and the error says what one is`, () => {
    assert.throws(() => createClient({ baseUrl }), { name: "TypeError", message: /ASYNCJOBS_URL.*https:/ });
  });
}

test("a refusal of the gateway says what to do", async () => {
  const { url, fetch } = answering({ status: 401, json: { message: "Unauthorized" } }, { status: 403, json: { message: "Forbidden" } }, { status: 404, json: { message: "Not Found" } });
  const jobs = createClient({ baseUrl: url, fetch });
  await assert.rejects(jobs.types(), { message: "Unauthorized. The token is wrong, or has expired", detail: "The token is wrong, or has expired" });
  await assert.rejects(jobs.types(), { message: "Forbidden. Check baseUrl and the token's scope" });
  await assert.rejects(jobs.types(), { message: "Not Found. Check baseUrl" });
});

test("an invalid request names its places", async () => {
  const errors = [{ pointer: "/input/query", detail: "is required" }];
  const { url, fetch } = answering({ status: 400, json: { code: "INVALID_REQUEST", title: "Invalid request", detail: "Correct it.", errors } });
  const error = await createClient({ baseUrl: url, fetch }).submit("text.search").catch((thrown) => thrown);
  assert.equal(error.message, "Invalid request. Correct it.\n/input/query: is required");
  assert.deepEqual(error.errors, errors);
});

test("a server that is not there is an error with the reason", async () => {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  const baseUrl = `http://127.0.0.1:${port}`;
  const message = `GET ${baseUrl} failed: connect ECONNREFUSED 127.0.0.1:${port}`;
  await assert.rejects(createClient({ baseUrl, maxRetries: 0 }).types(), { name: "ApiConnectionError", message });
});

/** What `fetch` throws, and the reason in the message. @type {Record<string, [Error, string]>} */
const FAILURES = {
  "two addresses": [new TypeError("fetch failed", { cause: Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }) }), "ECONNREFUSED"],
  "no reason": [new TypeError("fetch failed", { cause: null }), "fetch failed"],
  "no cause": [new TypeError("Failed to fetch"), "Failed to fetch"],
};
for (const [what, [thrown, reason]] of Object.entries(FAILURES)) {
  test(`a failed connection with ${what} is an error with a reason`, async () => {
    const client = createClient({ baseUrl: "http://127.0.0.1", fetch: () => Promise.reject(thrown), maxRetries: 0 });
    await assert.rejects(client.types(), { name: "ApiConnectionError", message: `GET http://127.0.0.1 failed: ${reason}`, cause: thrown });
  });
}

test("an answer without JSON names baseUrl, whatever was requested", async () => {
  const { url, fetch } = answering({ text: "<html>", headers: { "content-type": "text/html" } });
  const jobs = createClient({ baseUrl: url, fetch, maxRetries: 0 });
  for (const call of [() => jobs.types(), () => jobs.list().next(), () => jobs.upload(new Blob(["x"])), () => jobs.get("j1"), () => jobs.job("j1").wait(), () => jobs.job("j1").events().next()]) {
    await assert.rejects(call(), { name: "ApiConnectionError", message: /check baseUrl/ });
  }
});

test("a browser that hides the reason of an aborted request gets the time limit all the same", async () => {
  const fetch = /** @type {typeof globalThis.fetch} */ (
    (_, init) => new Promise((resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new DOMException("Aborted", "AbortError"))))
  );
  await assert.rejects(createClient({ baseUrl: "http://127.0.0.1", fetch, timeoutMs: 20, maxRetries: 0 }).get("j1"), { name: "ApiTimeout" });
});

test("a request carries no cookies of the page", async () => {
  /** @type {(string | undefined)[]} */
  const seen = [];
  const fetch = /** @type {typeof globalThis.fetch} */ (async (_, init) => (seen.push(init?.credentials), Response.json(record())));
  await createClient({ baseUrl: "http://127.0.0.1", fetch }).get("j1");
  assert.deepEqual(seen, ["omit"]);
});

test("an error of the gateway has the id of its request", async () => {
  const { url, fetch } = answering({ status: 403, headers: { "apigw-requestid": "g-1" }, json: { message: "Forbidden" } });
  await assert.rejects(createClient({ baseUrl: url, fetch }).get("j1"), { requestId: "g-1" });
});

test("a request that the server holds has the time that it is held", { timeout: 60_000 }, async () => {
  const later = (/** @type {unknown} */ json) => new Promise((resolve) => setTimeout(() => resolve({ json, headers: { "preference-applied": "wait=1" } }), 200));
  const { url, fetch } = answering((request) => /** @type {any} */ (
    request.method === "POST" || request.path.includes("/events") ? later(request.method === "POST" ? record({ seq: 1 }) : { events: [{ seq: 2, type: "completed" }] }) : { json: record({ ...ENDED, seq: 2 }) }
  ));
  // The time limit of all other requests is over long before.
  const slow = /** @type {typeof globalThis.fetch} */ (
    (input, init) => new Promise((resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      fetch(input, init).then(resolve, reject);
    })
  );
  const client = createClient({ baseUrl: url, fetch: slow, timeoutMs: 20, maxRetries: 0, webSocket: null });
  const job = await client.submit("text.search", {}, { waitSeconds: 1 });
  const seqs = [];
  for await (const { seq } of job.events()) seqs.push(seq);
  assert.deepEqual(seqs, [2]);
});

test("an id stays within the path of its job", async () => {
  const { url, fetch, requests } = answering({ json: record() });
  await createClient({ baseUrl: url, fetch }).get("a/../b?c#d");
  assert.equal(requests[0].path, "/api/v1/jobs/a%2F..%2Fb%3Fc%23d");
});
