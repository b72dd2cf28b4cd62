/** Failed jobs of all owners, by type and code: what fails, since when, and a retry of those for which it helps. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { jobsTable } from "../lib/admin.js";
import { count, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { bar, empty, failure, icon, loading } from "../lib/ui.js";

const PAGE_SIZE = 50;

export class Failed extends Page {
  title = "Failed";
  /** @type {any[]} */ groups = [];
  /** @type {any[]} */ jobs = [];
  /** @type {string | null} */ cursor = null;
  /** @type {Set<string>} */ selected = new Set();
  /** The bulk action that runs, or ran last. @type {any} */ bulk = null;

  get group() {
    const { query } = place();
    const [jobType, code] = [query.get("type"), query.get("code")];
    return jobType && code ? { jobType, code } : null;
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    const { group } = this;
    this.selected.clear();
    if (group) {
      const { jobs, nextCursor } = await this.app.api.get("admin/failed-jobs", { query: { ...group, limit: PAGE_SIZE }, signal });
      [this.jobs, this.cursor] = [jobs, nextCursor];
    } else this.groups = (await this.app.api.get("admin/failed-groups", { signal })).groups;
  }

  #more = () =>
    this.act(async () => {
      const { jobs, nextCursor } = await this.app.api.get("admin/failed-jobs", { query: { ...this.group, limit: PAGE_SIZE, cursor: this.cursor } });
      [this.jobs, this.cursor] = [[...this.jobs, ...jobs], nextCursor];
      this.app.draw();
    }, "Earlier failures are shown");

  /** @param {any} job */
  #select = (job) => {
    const { asyncJobId } = job;
    if (!this.selected.delete(asyncJobId)) this.selected.add(asyncJobId);
    this.app.draw();
  };

  /**
   * Show what the action would do, and do it after a yes.
   * @param {"retry" | "delete"} action
   */
  async #act(action) {
    const chosen = this.jobs.filter(({ asyncJobId }) => this.selected.has(asyncJobId));
    const which = chosen.length ? { jobs: chosen.map(({ asyncJobId, owner }) => ({ asyncJobId, owner })) } : { failed: this.group };
    const verb = action === "retry" ? "Retry" : "Delete";
    this.bulk = { verb, isTrial: true, outcomes: new Map(), isOver: false };
    if (!(await this.act(() => this.#run({ action, ...which, trial: true }), "Checked"))) return this.#stop();
    const { outcomes } = this.bulk;
    const eligible = outcomes.get("ELIGIBLE") ?? 0;
    if (!eligible) {
      this.#stop();
      return this.app.say("No job is eligible", "error");
    }
    const text = html`<p><strong>${count(eligible)}</strong> of ${count(sumOf(outcomes))} jobs can be ${action === "retry" ? "retried" : "deleted"}.</p>
      ${reasons(outcomes)}<p>Each part of the action is recorded.</p>`;
    if (!(await this.app.ask({ title: `${verb} ${count(eligible)} jobs?`, text, action: `${verb} them`, danger: action === "delete" }))) return this.#stop();
    this.bulk = { verb, isTrial: false, total: eligible, outcomes: new Map(), isOver: false };
    await this.act(() => this.#run({ action, ...which }), "The action is done");
    this.bulk.isOver = true;
    await this.reload();
  }

  #stop() {
    this.bulk = null;
    this.app.draw();
  }

  /**
   * Each request acts on some jobs: the next one goes on behind them.
   * @param {Record<string, any>} body
   */
  async #run(body) {
    /** @type {string | undefined} */
    let cursor;
    do {
      const { outcomes, nextCursor } = await this.app.api.post("admin/bulk-actions", { ...body, cursor });
      for (const { outcome } of outcomes) this.bulk.outcomes.set(outcome, (this.bulk.outcomes.get(outcome) ?? 0) + 1);
      cursor = nextCursor ?? undefined;
      this.app.draw();
    } while (cursor);
  }

  view() {
    const { group } = this;
    return html`${group ? html`<nav class="crumbs" aria-label="Place"><a href="failed">Failed</a>${icon("next")}<span>${group.jobType}</span></nav>` : nothing}
      <div class="page-head"><h1 tabindex="-1">${group ? group.code : "Failed"}</h1>${group && this.jobs.length && this.app.may("operate") ? this.#actions() : nothing}</div>
      ${this.bulk ? this.#progress() : nothing}
      ${this.error ? failure(this.error, this.reload) : this.isLoading ? loading() : group ? this.#jobs() : this.#groups()}`;
  }

  #actions() {
    const which = this.selected.size ? `${this.selected.size} selected` : "all";
    return html`<div class="actions">
      <button class="button primary" @click=${() => this.#act("retry")}>${icon("retry")}Retry ${which}</button>
      <button class="button" @click=${() => this.#act("delete")}>${icon("trash")}Delete ${which}</button>
    </div>`;
  }

  #progress() {
    const { verb, isTrial, total, outcomes, isOver } = this.bulk;
    const done = outcomes.get("DONE") ?? 0;
    if (isTrial) return html`<p class="quiet note" role="status">Checking ${count(sumOf(outcomes))} jobs</p>`;
    return html`<div class="state-line" data-status=${isOver ? "COMPLETED" : "IN_PROGRESS"} role="status">
      <span>${verb}: <strong>${count(done)}</strong> done</span>
      ${isOver ? reasons(outcomes) : html`<div class="state-bar">${bar((100 * sumOf(outcomes)) / Math.max(total, sumOf(outcomes)))}</div>`}
    </div>`;
  }

  #groups() {
    if (!this.groups.length) return empty({ icon: "failed", title: "No job has failed", text: "Failures of the last days appear here, by job type and code." });
    const most = Math.max(...this.groups.map((each) => each.count));
    return html`<div class="table-frame"><table class="table groups">
      <thead><tr><th scope="col">Code</th><th scope="col">Type</th><th scope="col" class="wide-only"><span class="visually-hidden">Share</span></th><th scope="col" class="number">Failed</th><th scope="col" class="number">Newest</th></tr></thead>
      <tbody>${this.groups.map(
        (each) => html`<tr>
          <td class="type-cell"><a class="row-link" href="failed?type=${encodeURIComponent(each.jobType)}&code=${encodeURIComponent(each.code)}"><code class="code-word">${each.code}</code></a></td>
          <td class="status-cell clip">${each.jobType}</td>
          <td class="wide-only"><svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width=${(100 * each.count) / most} height="6" rx="3" /></svg></td>
          <td class="number"><strong>${count(each.count)}${each.isMore ? "+" : ""}</strong></td>
          <td class="number quiet">${time(each.newestAt)}</td>
        </tr>`,
      )}</tbody></table></div>`;
  }

  #jobs() {
    if (!this.jobs.length) return empty({ icon: "check", title: "None is left", text: "No job of this type has failed with this code, or all were retried or deleted.", action: html`<a class="button" href="failed">Show all failures</a>` });
    return html`${jobsTable(this.jobs, this.app.may("operate") ? { selected: this.selected, onSelect: this.#select } : {})}
      ${this.cursor ? html`<div class="more"><button class="button" @click=${this.#more}>Show earlier failures</button></div>` : nothing}`;
  }
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
