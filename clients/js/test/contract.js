/** The calls of the contract's cases (`clients/contract`), made by this client, and their outcomes. */

import assert from "node:assert/strict";

import { createClient } from "../src/index.js";

/** @import { Client, Clock } from "../src/types.js" */

const JOB = "7f0c0b1e-55aa-4d6c-9a52-6f1d2c3b4a50";
const OPTIONS = { delay: "delaySeconds", retention: "retentionSeconds", wait: "waitSeconds" };

/** Return a clock that only counts. @returns {Clock} */
export function countingClock() {
  let now = 0;
  return {
    now: () => now,
    async sleep(milliseconds) {
      now += milliseconds;
    },
  };
}

/**
 * Make the calls of a case, and compare their outcome.
 * @param {string} baseUrl
 * @param {any} described
 * @param {Clock} clock
 */
export async function run(baseUrl, { client = {}, calls, outcome }, clock) {
  const { jobs, updates } = clientOf(baseUrl, client, clock);
  const found = await outcomeOf(calls, jobs, updates);
  return { ...found, compare: () => compare(outcome, found, updates) };
}

/**
 * Return a client that reports how long it slept before each request.
 * @param {string} baseUrl
 * @param {{ tokens?: string[], timeout?: number, maxRetries?: number, live?: boolean }} options
 * @param {Clock} time
 */
function clientOf(baseUrl, { tokens = ["token-1"], timeout, maxRetries, live }, time) {
  let paused = 0;
  /** @type {Clock} */
  const clock = {
    now: time.now,
    sleep(milliseconds, signal) {
      paused += milliseconds;
      return time.sleep(milliseconds, signal);
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
 * @param {Client} jobs
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
      input: () => job.input(),
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
  if ("length" in outcome) assert.equal(value.length, outcome.length);
  if ("matches" in outcome) assert.match(value, new RegExp(outcome.matches));
  if (outcome.last) changesTo(value, outcome.last);
  if (outcome.job) matches(value.data, outcome.job);
  for (const name of ["jobs", "events", "types"]) if (outcome[name]) matchEach(value, outcome[name]);
  if (outcome.updates) matchEach(updates, outcome.updates);
}

/**
 * Compare the jobs that a real server has changed: progress only rises, and the last one, which alone has ended, is as expected.
 * @param {any[]} jobs
 * @param {Record<string, any>} members
 */
function changesTo(jobs, members) {
  const news = jobs.map(({ status, progress, message }) => JSON.stringify([status, progress, message]));
  assert.ok(jobs.length > 1 && news.every((each, index) => each !== news[index - 1]), String(news));
  assert.deepEqual(jobs.map(({ progress }) => progress), jobs.map(({ progress }) => progress).sort((one, other) => one - other));
  assert.deepEqual(jobs.map(({ ended }) => ended), jobs.map((job) => job === jobs.at(-1)));
  matches(jobs.at(-1).data, members);
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
