/** The user's own jobs, newest first, as they change. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { count, duration, time } from "../lib/format.js";
import { changed } from "../lib/live.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { STATUS_WORDS, bar, empty, failure, icon, idOf, loading, statusBadge, statusIcon } from "../lib/ui.js";

/** @import { Change, Job } from "../answers.js" */

const PAGE_SIZE = 50;
/** Several jobs that are new at the same time are read together. */
const NEW_MS = 300;

export class MyJobs extends Page {
  title = "My jobs";
  /** @type {Job[]} */ jobs = [];
  /** @type {string | null} */ cursor = null;
  /** Whether more than the newest jobs is shown. */
  hasOlder = false;
  /** @type {string[]} */ types = [];
  selected = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #newTimer;

  enter() {
    super.enter();
    void this.#readTypes();
    this.until(this.app.live.watch({ onChange: (change) => this.#onChange(change), onStale: this.refresh }));
    this.until(() => clearTimeout(this.#newTimer));
  }

  get shortcuts() {
    return [
      { keys: "j", does: "Next job", run: () => this.#select(1) },
      { keys: "k", does: "Previous job", run: () => this.#select(-1) },
      { keys: "/", does: "Filter by type", run: () => document.getElementById("type-filter")?.focus() },
      ...["", ...Object.keys(STATUS_WORDS)].map((status, index) => ({
        keys: String(index),
        does: status ? `Show ${STATUS_WORDS[status]?.toLowerCase()} jobs` : "Show all jobs",
        run: () => this.app.router.filter({ status }),
      })),
    ];
  }

  get filters() {
    const { query } = place();
    return { status: query.get("status") ?? undefined, jobType: query.get("type") ?? undefined };
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    const { status, jobType } = this.filters;
    // What more of the list was shown is not read again: a page of it may be new.
    const found = await this.app.api.get("jobs", { query: { status, jobType, limit: PAGE_SIZE }, signal });
    const known = new Map(this.jobs.map((each) => [each.asyncJobId, each]));
    const isFirst = this.isLoading || !this.hasOlder;
    const read = found.jobs.map((each) => newest(known.get(each.asyncJobId), each));
    if (isFirst) [this.jobs, this.cursor, this.hasOlder] = [read, found.nextCursor, false];
    else {
      const ids = new Set(read.map((each) => each.asyncJobId));
      this.jobs = [...read, ...this.jobs.filter(({ asyncJobId }) => !ids.has(asyncJobId))];
    }
  }

  async #readTypes() {
    try {
      const { jobTypes } = await this.app.api.get("job-types");
      this.types = jobTypes.map((each) => each.jobType);
      this.app.draw();
    } catch {
      // The list itself says what is wrong.
    }
  }

  #more = () =>
    this.showMore(async (signal) => {
      const { status, jobType } = this.filters;
      const found = await this.app.api.get("jobs", { query: { status, jobType, limit: PAGE_SIZE, cursor: this.cursor }, signal });
      const ids = new Set(this.jobs.map(({ asyncJobId }) => asyncJobId));
      this.jobs = [...this.jobs, ...found.jobs.filter((each) => !ids.has(each.asyncJobId))];
      this.cursor = found.nextCursor;
      this.hasOlder = true;
    }, "Older jobs are shown");

  /** @param {Change} change */
  #onChange(change) {
    const index = this.jobs.findIndex(({ asyncJobId }) => asyncJobId === change.asyncJobId);
    const known = this.jobs[index];
    if (!known) {
      clearTimeout(this.#newTimer);
      this.#newTimer = setTimeout(this.refresh, NEW_MS);
      return;
    }
    const next = changed(known, change);
    if (!next) return;
    this.jobs = this.jobs.with(index, next);
    this.app.draw();
  }

  /** @param {number} step */
  #select(step) {
    this.selected = Math.min(Math.max(this.selected + step, 0), this.jobs.length - 1);
    const link = /** @type {HTMLElement | undefined} */ (document.querySelectorAll(".row-link")[this.selected]);
    link?.focus();
    link?.closest("tr")?.scrollIntoView({ block: "nearest" });
  }

  view() {
    const { status } = this.filters;
    return html`<div class="page-head">
        <h1 tabindex="-1">My jobs</h1>
        <a class="button primary" href="types">${icon("plus")}Submit a job</a>
      </div>
      <div class="filters">
        <div class="segments" role="group" aria-label="Status">
          ${["", ...Object.keys(STATUS_WORDS)].map(
            (each) => html`<button class="segment" aria-pressed=${String((status ?? "") === each)} @click=${() => this.app.router.filter({ status: each })}>
              ${each ? statusIcon(each, 60) : nothing}${each ? STATUS_WORDS[each] : "All"}
            </button>`,
          )}
        </div>
        ${this.#typeFilter()}
      </div>
      ${this.#content()}`;
  }

  #typeFilter() {
    const { jobType = "" } = this.filters;
    const types = jobType && !this.types.includes(jobType) ? [jobType, ...this.types] : this.types;
    return html`<label class="select"><span class="visually-hidden">Type</span>
      <select id="type-filter" @change=${(/** @type {any} */ event) => this.app.router.filter({ type: event.target.value })}>
        <option value="" ?selected=${!jobType}>All types</option>
        ${types.map((each) => html`<option value=${each} ?selected=${each === jobType}>${each}</option>`)}
      </select></label>`;
  }

  #content() {
    if (this.error && !this.jobs.length) return failure(this.error, this.reload);
    if (this.isLoading) return loading();
    if (!this.jobs.length && !this.cursor) return this.#none();
    return html`<p class="visually-hidden" role="status">${count(this.jobs.length)} jobs</p>
      <div class="table-frame">
        <table class="table jobs">
          <thead><tr><th scope="col">Status</th><th scope="col">Type</th><th scope="col" class="wide-only">Id</th><th scope="col">Progress</th><th scope="col" class="number">Created</th><th scope="col" class="number wide-only">Took</th></tr></thead>
          <tbody>${repeat(this.jobs, ({ asyncJobId }) => asyncJobId, (job) => row(job))}</tbody>
        </table>
      </div>
      ${this.cursor
        ? html`<div class="more"><button class="button" ?disabled=${this.isReadingMore} @click=${this.#more}>${this.isReadingMore ? "Reading" : "Show older jobs"}</button></div>`
        : nothing}`;
  }

  #none() {
    const { status, jobType } = this.filters;
    if (!status && !jobType) {
      return empty({
        icon: "jobs",
        title: "You have no jobs yet",
        text: "A job that you submit appears here, and moves as it runs.",
        action: html`<a class="button primary" href="types">Submit your first job</a>`,
      });
    }
    return empty({
      icon: "search",
      title: "No job matches the filters",
      text: "Jobs appear here as they reach this state.",
      action: html`<button class="button" @click=${() => this.app.router.filter({ status: "", type: "" })}>Clear the filters</button>`,
    });
  }
}

/** @param {Job} job */
function row(job) {
  return html`<tr>
    <td class="status-cell">${statusBadge(job.status, job.progress)}</td>
    <td class="type-cell"><a class="row-link" href="jobs/${job.asyncJobId}">${job.jobType}</a></td>
    <td class="id-cell wide-only">${idOf(job.asyncJobId)}</td>
    <td class="progress-cell">${progressOf(job)}</td>
    <td class="number quiet">${time(job.createdAt)}</td>
    <td class="number quiet wide-only">${tookOf(job)}</td>
  </tr>`;
}

/** @param {Job} job */
function progressOf(job) {
  const attempts = job.attempt > 1 ? html`<span class="tag" title="The attempt, of ${job.maxAttempts} at most">Attempt ${job.attempt}/${job.maxAttempts}</span>` : nothing;
  if (job.status === "IN_PROGRESS") return html`<div class="progress">${bar(job.progress)}<span class="quiet clip">${job.progress} %${job.message ? ` · ${job.message}` : ""}</span>${attempts}</div>`;
  if (job.error) return html`<span class="clip"><code class="code-word">${job.error.code}</code> <span class="quiet">${job.error.message}</span></span>${attempts}`;
  return html`<span class="quiet clip">${job.message ?? ""}</span>${attempts}`;
}

/** @param {Job} job */
function tookOf({ startedAt, createdAt, endedAt, status }) {
  if (status === "PENDING") return html`<span class="none">–</span>`;
  const from = Date.parse(startedAt ?? createdAt);
  return duration((endedAt ? Date.parse(endedAt) : Date.now()) - from);
}

/**
 * A push may be newer than an answer that was under way.
 * @param {Job | undefined} known
 * @param {Job} read
 */
function newest(known, read) {
  return known && known.seq > read.seq ? known : read;
}
