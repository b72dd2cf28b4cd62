/** Failed jobs of all owners, by type and code: what fails, since when, and a retry of those for which it helps. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { jobsTable } from "../lib/admin.js";
import { Bulk } from "../lib/bulk.js";
import { count, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { empty, failure, icon, loading } from "../lib/ui.js";

/** @import { AdminJob, FailedGroup } from "../answers.js" */

const PAGE_SIZE = 50;

export class Failed extends Page {
  title = "Failed";
  /** @type {FailedGroup[]} */ groups = [];
  /** @type {AdminJob[]} */ jobs = [];
  /** @type {string | null} */ cursor = null;
  /** @type {Set<string>} */ selected = new Set();
  bulk = new Bulk(this);

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
    this.showMore(async (signal) => {
      const { jobs, nextCursor } = await this.app.api.get("admin/failed-jobs", { query: { ...this.group, limit: PAGE_SIZE, cursor: this.cursor }, signal });
      [this.jobs, this.cursor] = [[...this.jobs, ...jobs], nextCursor];
    }, "Earlier failures are shown");

  /** @param {AdminJob} job */
  #select = (job) => {
    const { asyncJobId } = job;
    if (!this.selected.delete(asyncJobId)) this.selected.add(asyncJobId);
    this.app.draw();
  };

  /** @param {"retry" | "delete"} action */
  #act(action) {
    const chosen = this.jobs.filter(({ asyncJobId }) => this.selected.has(asyncJobId));
    return this.bulk.start(action, chosen.length ? { jobs: chosen.map(({ asyncJobId, owner }) => ({ asyncJobId, owner })) } : { failed: this.group });
  }

  view() {
    const { group } = this;
    return html`${group ? html`<nav class="crumbs" aria-label="Place"><a href="failed">Failed</a>${icon("next")}<span>${group.jobType}</span></nav>` : nothing}
      <div class="page-head"><h1 tabindex="-1">${group ? group.code : "Failed"}</h1>${group && this.jobs.length && this.app.may("operate") ? this.#actions() : nothing}</div>
      ${this.bulk.view()}
      ${this.error ? failure(this.error, this.reload) : this.isLoading ? loading() : group ? this.#jobs() : this.#groups()}`;
  }

  #actions() {
    const which = this.selected.size ? `${this.selected.size} selected` : "all";
    return html`<div class="actions">
      <button class="button primary" @click=${() => this.#act("retry")}>${icon("retry")}Retry ${which}</button>
      <button class="button" @click=${() => this.#act("delete")}>${icon("trash")}Delete ${which}</button>
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
    const [newest] = this.jobs;
    if (!newest) return empty({ icon: "check", title: "None is left", text: "No job of this type has failed with this code, or all were retried or deleted.", action: html`<a class="button" href="failed">Show all failures</a>` });
    return html`<p class="lead">The newest one failed ${time(newest.endedAt)}: ${newest.error?.message}</p>
      ${jobsTable(this.jobs, { hidesCodes: true, ...(this.app.may("operate") ? { selected: this.selected, onSelect: this.#select } : {}) })}
      ${this.cursor ? html`<div class="more"><button class="button" ?disabled=${this.isReadingMore} @click=${this.#more}>Show earlier failures</button></div>` : nothing}`;
  }
}
