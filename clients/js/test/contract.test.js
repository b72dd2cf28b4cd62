/** The contract of the clients (`clients/contract`), against its server, which plays the faults. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createClient } from "../src/index.js";

const CONTRACT = new URL("../../contract/", import.meta.url);
const JOB = "7f0c0b1e-55aa-4d6c-9a52-6f1d2c3b4a50";
const OPTIONS = { delay: "delaySeconds", retention: "retentionSeconds", wait: "waitSeconds" };

/** @type {import("node:child_process").ChildProcess} */
let server;
let url = "";

before(async () => {
  server = spawn(process.env.PYTHON ?? "python3", [fileURLToPath(new URL("server.py", CONTRACT))], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface(/** @type {import("node:stream").Readable} */ (server.stdout));
  url = await new Promise((resolve) => lines.once("line", resolve));
});

after(() => server.kill());

for (const file of readdirSync(new URL("cases/", CONTRACT)).sort()) {
  const { name, behavior, client = {}, calls, outcome } = JSON.parse(readFileSync(new URL(`cases/${file}`, CONTRACT), "utf8"));
  test(`${name}: ${behavior}`, async () => {
    const session = await json("/sessions", { method: "POST", body: JSON.stringify({ case: name }) });
    const { jobs, updates } = clientOf(session.url, client);
    const found = await outcomeOf(calls, jobs, updates);
    const verdict = await json(`/sessions/${session.session}`);
    assert.deepEqual(verdict, { problems: [], left: 0 }, String(found.thrown?.stack));
    compare(outcome, found, updates);
  });
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function json(path, init) {
  return (await fetch(url + path, init)).json();
}

/**
 * Return a client whose clock only counts, and which reports how long it slept before each request.
 * @param {string} baseUrl
 * @param {{ tokens?: string[], timeout?: number, maxRetries?: number, live?: boolean }} options
 */
function clientOf(baseUrl, { tokens = ["token-1"], timeout, maxRetries, live }) {
  let now = 0;
  let paused = 0;
  const clock = {
    now: () => now,
    /** @param {number} milliseconds */
    async sleep(milliseconds) {
      now += milliseconds;
      paused += milliseconds;
    },
  };
  /** @type {typeof fetch} */
  const sender = (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("contract-paused", String(paused / 1000));
    paused = 0;
    return fetch(input, { ...init, headers });
  };
  const given = [...tokens];
  const token = () => /** @type {string} */ (given.length > 1 ? given.shift() : given[0]);
  const timeoutMs = timeout && timeout * 1000;
  return { jobs: createClient({ baseUrl, token, timeoutMs, maxRetries, live, webSocket: null, fetch: sender, clock }), updates: /** @type {any[]} */ ([]) };
}

/**
 * @param {any[]} calls
 * @param {import("../src/types.js").Client} jobs
 * @param {any[]} updates
 */
async function outcomeOf(calls, jobs, updates) {
  let job = jobs.job(JOB);
  let value;
  for (const [index, { call, jobType, input, token, report, text, contentType, options: given = {} }] of calls.entries()) {
    const options = optionsOf(given, updates);
    const act = {
      run: () => jobs.run(jobType, inputOf(input), options),
      submit: () => jobs.submit(jobType, inputOf(input), options),
      get: () => job.refresh(),
      cancel: () => job.cancel(),
      retry: () => job.retry(),
      delete: () => job.delete(),
      wait: () => job.wait(options),
      result: () => job.result(options),
      updates: () => all(job.updates(options)),
      events: () => all(job.events(options)),
      download: async () => (await job.open()).text(),
      list: () => all(jobs.list(options)),
      types: () => jobs.types(),
      upload: () => jobs.upload(new TextEncoder().encode(text), { contentType }),
      track: () => jobs.tracked.create(options),
      report: () => job.report(report),
      work: () => jobs.tracked.worker(JOB, token).report(report),
    }[/** @type {string} */ (call)];
    assert.ok(act, `the contract has a new call: ${call}`);
    try {
      value = await act();
    } catch (/** @type {any} */ thrown) {
      assert.equal(index, calls.length - 1, String(thrown.stack));
      return { thrown };
    }
    if (Object(value).id) job = value;
  }
  return { value };
}

/** @param {AsyncIterable<any>} items */
async function all(items) {
  const found = [];
  for await (const each of items) found.push(each);
  return found;
}

/**
 * @param {Record<string, any>} given
 * @param {any[]} updates
 */
function optionsOf({ giveUp, onUpdate, ...given }, updates) {
  const renamed = Object.entries(given).map(([name, value]) => [OPTIONS[/** @type {keyof typeof OPTIONS} */ (name)] ?? name, value]);
  return {
    ...Object.fromEntries(renamed),
    ...(giveUp === undefined ? {} : { giveUpMs: giveUp === null ? Infinity : giveUp * 1000 }),
    ...(onUpdate ? { onUpdate: (/** @type {any} */ job) => updates.push(job) } : {}),
  };
}

/** @param {any} input */
function inputOf(input) {
  return JSON.parse(JSON.stringify(input), (_, value) =>
    value?.$file === undefined ? value : new Blob([value.$file], { type: value.contentType }),
  );
}

/**
 * @param {Record<string, any>} outcome
 * @param {{ value?: any, thrown?: any }} found
 * @param {any[]} updates
 */
function compare(outcome, { value, thrown }, updates) {
  if (outcome.error) {
    const { kind, ...members } = outcome.error;
    assert.equal(thrown?.name, kind, String(thrown?.stack));
    const seen = { ...thrown, code: thrown.code, jobId: thrown.asyncJobId, retryAfter: thrown.retryAfterMs / 1000 };
    matches(seen, members);
    return;
  }
  assert.equal(thrown, undefined, String(thrown?.stack));
  if ("value" in outcome) assert.deepEqual(value ?? null, outcome.value);
  if ("bytes" in outcome) assert.equal(value, outcome.bytes);
  if (outcome.job) matches(value.data, outcome.job);
  for (const name of ["jobs", "events", "types"]) if (outcome[name]) matchEach(value, outcome[name]);
  if (outcome.updates) matchEach(updates, outcome.updates);
}

/**
 * @param {any[]} found
 * @param {any[]} expected
 */
function matchEach(found, expected) {
  assert.equal(found.length, expected.length, JSON.stringify(found));
  for (const [index, members] of expected.entries()) matches(found[index].data ?? found[index], members);
}

/**
 * @param {Record<string, any>} found
 * @param {Record<string, any>} members
 */
function matches(found, members) {
  for (const [name, value] of Object.entries(members)) assert.deepEqual(found[name], value, `${name} of ${JSON.stringify(found)}`);
}
