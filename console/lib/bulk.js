/** An action on many jobs: first a trial that says what would become of each, then the action, a part with each request. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count } from "./format.js";
import { bar } from "./ui.js";

/** @import { Page } from "./page.js" */

/** @typedef {"retry" | "cancel" | "delete"} Action */

/** @type {Record<Action, { verb: string, done: string, danger: boolean }>} */
const WORDS = {
  retry: { verb: "Retry", done: "retried", danger: false },
  cancel: { verb: "Cancel", done: "cancelled", danger: true },
  delete: { verb: "Delete", done: "deleted", danger: true },
};

export class Bulk {
  /** The action that runs, or ran last. @type {{ verb: string, isTrial: boolean, total: number, outcomes: Map<string, number>, isOver: boolean } | null} */
  #run = null;
  #page;
  #isLeft = false;

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
    page.until(() => (this.#isLeft = true));
  }

  get isRunning() {
    return this.#run !== null && !this.#run.isOver;
  }

  /**
   * Show what the action would do, and do it after a yes.
   * @param {Action} action
   * @param {Record<string, any>} which
   */
  async start(action, which) {
    if (this.isRunning) return;
    const { verb, done, danger } = WORDS[action];
    const { app } = this.#page;
    const trial = (this.#run = { verb, isTrial: true, total: 0, outcomes: new Map(), isOver: false });
    if (!(await this.#page.act(() => this.#send({ action, ...which, trial: true }), "Checked")) || this.#isLeft) return this.#stop();
    const eligible = trial.outcomes.get("ELIGIBLE") ?? 0;
    if (!eligible) {
      this.#stop();
      return app.say("No job is eligible", "error");
    }
    const text = html`<p><strong>${count(eligible)}</strong> of ${count(sumOf(trial.outcomes))} jobs can be ${done}.</p>
      ${reasons(trial.outcomes)}<p>Each part of the action is recorded. Leaving this page, or closing the tab, ends it where it is.</p>`;
    if (!(await app.ask({ title: `${verb} ${count(eligible)} jobs?`, text, action: `${verb} them`, danger })) || this.#isLeft) return this.#stop();
    const run = (this.#run = { verb, isTrial: false, total: sumOf(trial.outcomes), outcomes: new Map(), isOver: false });
    // The browser asks before it closes the page in the middle.
    addEventListener("beforeunload", keepOpen);
    let isDone = false;
    try {
      await this.#page.act(
        async () => (isDone = await this.#send({ action, ...which })),
        () => (isDone ? "The action is done" : `${verb}: ended where it was, since you left its page`),
      );
    } finally {
      removeEventListener("beforeunload", keepOpen);
      run.isOver = true;
    }
    if (!this.#isLeft) await this.#page.reload();
  }

  #stop() {
    this.#run = null;
    this.#page.app.draw();
  }

  /**
   * Each request acts on some jobs: the next one goes on behind them, until the page is left.
   * @param {Record<string, any>} body
   * @returns whether it has acted on all of them
   */
  async #send(body) {
    /** @type {string | undefined} */
    let cursor;
    do {
      const { outcomes, nextCursor } = await this.#page.app.api.post("admin/bulk-actions", { ...body, cursor });
      for (const { outcome } of outcomes) this.#run?.outcomes.set(outcome, (this.#run.outcomes.get(outcome) ?? 0) + 1);
      cursor = nextCursor ?? undefined;
      this.#page.app.draw();
    } while (cursor && !this.#isLeft);
    return !cursor;
  }

  view() {
    if (!this.#run) return nothing;
    const { verb, isTrial, total, outcomes, isOver } = this.#run;
    const done = outcomes.get("DONE") ?? 0;
    if (isTrial) return html`<p class="quiet note" role="status">Checking ${count(sumOf(outcomes))} jobs</p>`;
    return html`<div class="state-line" data-status=${isOver ? "COMPLETED" : "IN_PROGRESS"} role="status">
      <span>${verb}: <strong>${count(done)}</strong> done</span>
      ${isOver ? reasons(outcomes) : html`<div class="state-bar">${bar((100 * sumOf(outcomes)) / Math.max(total, sumOf(outcomes)))}</div>`}
    </div>`;
  }
}

/** @param {Event} event */
function keepOpen(event) {
  event.preventDefault();
}

/** @param {Map<string, number>} outcomes */
function sumOf(outcomes) {
  return [...outcomes.values()].reduce((sum, each) => sum + each, 0);
}

/** @param {Map<string, number>} outcomes */
function reasons(outcomes) {
  const others = [...outcomes].filter(([outcome]) => outcome !== "DONE" && outcome !== "ELIGIBLE");
  return others.length ? html`<ul class="reasons">${others.map(([outcome, number]) => html`<li>${count(number)} not: <code class="code-word">${outcome}</code></li>`)}</ul>` : nothing;
}
