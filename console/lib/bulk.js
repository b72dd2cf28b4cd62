/** An action on many jobs: first a trial that says what would become of each, then the action itself, which is a job of the operator. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count } from "./format.js";
import { changed } from "./live.js";
import { ENDED, bar } from "./ui.js";

/** @import { Change } from "./live.js" */
/** @import { Page } from "./page.js" */

/** The type of the action's job. */
export const BULK_ACTION = "admin.action";

/** @typedef {"retry" | "cancel" | "delete"} Action */

/** @type {Record<Action, { verb: string, done: string, danger: boolean }>} */
const WORDS = {
  retry: { verb: "Retry", done: "retried", danger: false },
  cancel: { verb: "Cancel", done: "cancelled", danger: true },
  delete: { verb: "Delete", done: "deleted", danger: true },
};

export class Bulk {
  /** What would become of so many jobs, while a trial runs. @type {Map<string, number> | null} */
  #trial = null;
  /** The action that was started last. @type {{ verb: string, job: any } | null} */
  #run = null;
  #page;
  #isLeft = false;
  #unwatch = () => {};

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
    page.until(() => {
      this.#isLeft = true;
      this.#unwatch();
    });
  }

  get isRunning() {
    return this.#trial !== null || (this.#run !== null && !ENDED.includes(this.#run.job.status));
  }

  /**
   * Show what the action would do, and start it after a yes. It goes on when the page is left.
   * @param {Action} action
   * @param {Record<string, any>} which
   */
  async start(action, which) {
    if (this.isRunning) return;
    const { verb, done, danger } = WORDS[action];
    const { app } = this.#page;
    const outcomes = (this.#trial = new Map());
    const isTried = await this.#page.act(() => this.#try({ action, ...which, trial: true }, outcomes), "Checked");
    this.#trial = null;
    app.draw();
    if (!isTried || this.#isLeft) return;
    const eligible = outcomes.get("ELIGIBLE") ?? 0;
    if (!eligible) return app.say("No job is eligible", "error");
    const text = html`<p><strong>${count(eligible)}</strong> of ${count(sumOf(outcomes))} jobs can be ${done}.</p>
      ${reasons(outcomes)}<p>The action is recorded, and goes on when you leave this page: My jobs shows it.</p>`;
    if (!(await app.confirm({ title: `${verb} ${count(eligible)} jobs?`, text, action: `${verb} them`, danger })) || this.#isLeft) return;
    await this.#page.act(async () => {
      const body = { action, ...which, expectedCount: sumOf(outcomes) };
      this.#follow(verb, await app.api.post("admin/bulk-actions", body, { headers: { prefer: "respond-async" } }));
    }, "The action has started");
  }

  /**
   * Each request tries some jobs: the next one goes on behind them, until the page is left.
   * @param {Record<string, any>} body
   * @param {Map<string, number>} outcomes
   */
  async #try(body, outcomes) {
    /** @type {string | undefined} */
    let cursor;
    do {
      const answer = await this.#page.app.api.post("admin/bulk-actions", { ...body, cursor });
      for (const { outcome } of answer.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      cursor = answer.nextCursor ?? undefined;
      this.#page.app.draw();
    } while (cursor && !this.#isLeft);
  }

  /**
   * @param {string} verb
   * @param {any} job
   */
  #follow(verb, job) {
    const { app } = this.#page;
    this.#run = { verb, job };
    this.#unwatch();
    if (this.#isLeft) return;
    const stop = app.live.watch({ onChange: (change) => this.#onChange(change), onStale: () => void this.#read() });
    this.#unwatch = () => void stop();
    void this.#read(); // what happened before it was watched
  }

  /** @param {Change} change */
  #onChange(change) {
    const run = this.#run;
    if (!run || change.asyncJobId !== run.job.asyncJobId) return;
    // A change does not carry the result.
    if (ENDED.includes(change.status)) return void this.#read();
    run.job = changed(run.job, change) ?? run.job;
    this.#page.app.draw();
  }

  async #read() {
    const run = this.#run;
    if (!run || ENDED.includes(run.job.status)) return;
    try {
      const job = await this.#page.app.api.get(`jobs/${run.job.asyncJobId}`);
      if (job.seq >= run.job.seq) run.job = job;
    } catch {
      return; // the next change says it, or the next poll
    }
    this.#page.app.draw();
    if (!ENDED.includes(run.job.status)) return;
    this.#unwatch();
    if (!this.#isLeft) await this.#page.reload();
  }

  view() {
    if (this.#trial) return html`<p class="quiet note" role="status">Checking ${count(sumOf(this.#trial))} jobs</p>`;
    if (!this.#run) return nothing;
    const { verb, job } = this.#run;
    const outcomes = job.result && outcomesOf(job);
    return html`<div class="state-line" data-status=${job.status === "PENDING" ? "IN_PROGRESS" : job.status} role="status">
      <span>${verb}: ${outcomes ? html`<strong>${count(outcomes.get("DONE") ?? 0)}</strong> done` : (job.message ?? "starting")}</span>
      ${outcomes ? reasons(outcomes) : ENDED.includes(job.status) ? job.status.toLowerCase() : html`<div class="state-bar">${bar(job.progress)}</div>`}
      <a href="jobs/${job.asyncJobId}">Show the action</a>
    </div>`;
  }
}

/**
 * How many jobs had each outcome, by the result of the action's job.
 * @param {any} job
 * @returns {Map<string, number>}
 */
function outcomesOf(job) {
  return new Map(Object.entries(job.result.outcomes));
}

/** @param {Map<string, number>} outcomes */
export function sumOf(outcomes) {
  return [...outcomes.values()].reduce((sum, each) => sum + each, 0);
}

/** @param {Map<string, number>} outcomes */
export function reasons(outcomes) {
  const others = [...outcomes].filter(([outcome]) => outcome !== "DONE" && outcome !== "ELIGIBLE");
  return others.length ? html`<ul class="reasons">${others.map(([outcome, number]) => html`<li>${count(number)} not: <code class="code-word">${outcome}</code></li>`)}</ul>` : nothing;
}
