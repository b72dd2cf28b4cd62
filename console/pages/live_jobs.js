/** Unfinished jobs of all owners, overdue and silent ones first. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { jobsTable } from "../lib/admin.js";
import { Bulk } from "../lib/bulk.js";
import { shortId } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { empty, failure, icon, loading } from "../lib/ui.js";

/** @import { AdminJob } from "../answers.js" */

const REFRESH_MS = 5_000;
const PAGE_SIZE = 50;
/** Pages that are empty until one has a job: each reads about 300 entries. */
const EMPTY_PAGES = 5;

export class LiveJobs extends Page {
  title = "Live";
  /** @type {AdminJob[]} */ jobs = [];
  /** @type {string | null} */ cursor = null;
  bulk = new Bulk(this);

  enter() {
    super.enter();
    this.refreshEvery(REFRESH_MS, () => this.jobs.length <= PAGE_SIZE && !this.isReadingMore);
  }

  get filters() {
    const { query } = place();
    return { priority: query.get("priority") ?? undefined, status: query.get("status") ?? undefined, jobType: query.get("type") ?? undefined, owner: query.get("owner") ?? undefined };
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    [this.jobs, this.cursor] = await this.#readFrom(undefined, signal);
  }

  /**
   * @param {string | undefined} cursor
   * @param {AbortSignal} signal
   * @returns {Promise<[AdminJob[], string | null]>}
   */
  async #readFrom(cursor, signal) {
    let next = cursor;
    for (let pages = 0; ; pages += 1) {
      const query = { ...this.filters, limit: PAGE_SIZE, cursor: next };
      const { jobs, nextCursor } = await this.app.api.get("admin/live-jobs", { query, signal });
      if (jobs.length || !nextCursor || pages >= EMPTY_PAGES) return [jobs, nextCursor];
      next = nextCursor;
    }
  }

  #more = () =>
    this.showMore(async (signal) => {
      const [jobs, cursor] = await this.#readFrom(this.cursor ?? undefined, signal);
      this.jobs = [...this.jobs, ...jobs];
      this.cursor = cursor;
    }, "More jobs are shown");

  view() {
    const { priority = "", status = "", owner, jobType } = this.filters;
    const choices = /** @type {const} */ ([
      ["status", status, [["", "All"], ["IN_PROGRESS", "Running"], ["PENDING", "Waiting"]]],
      ["priority", priority, [["", "Any priority"], ["high", "High"], ["standard", "Standard"], ["low", "Low"]]],
    ]);
    const isNarrow = owner !== undefined || jobType !== undefined;
    return html`<div class="page-head"><h1 tabindex="-1">Live</h1>
        ${isNarrow && this.jobs.length && this.app.may("operate") ? html`<div class="actions"><button class="button" ?disabled=${this.bulk.isRunning} @click=${() => this.bulk.start("cancel", { live: this.filters })}>${icon("stop")}Cancel all</button></div>` : nothing}</div>
      <p class="lead">Unfinished jobs of all users, in the order in which the sweeper checks them: overdue and silent ones come first.</p>
      <div class="filters">${choices.map(
        ([name, value, options]) => html`<div class="segments" role="group" aria-label=${name}>${options.map(
          ([each, word]) => html`<button class="segment" aria-pressed=${String(value === each)} @click=${() => this.app.router.filter({ [name]: each })}>${word}</button>`,
        )}</div>`,
      )}
        ${this.#narrow("owner", "Owner", owner && shortId(owner))} ${this.#narrow("type", "Type", jobType)}</div>
      ${this.bulk.view()} ${this.#content()}`;
  }

  /**
   * What narrows the list beyond the choices, and a button that drops it.
   * @param {string} name
   * @param {string} word
   * @param {string | undefined} value
   */
  #narrow(name, word, value) {
    if (value === undefined) return nothing;
    return html`<button class="segment" aria-label="${word}: ${value}, show every ${word.toLowerCase()}" @click=${() => this.app.router.filter({ [name]: "" })}>${word}: ${value} ${icon("close")}</button>`;
  }

  #content() {
    if (this.error) return failure(this.error, this.reload);
    if (this.isLoading) return loading();
    const isFiltered = Object.values(this.filters).some((value) => value !== undefined);
    if (!this.jobs.length && !this.cursor) {
      return isFiltered
        ? empty({ icon: "live", title: "No unfinished job matches the filters", action: html`<a class="button" href="live">Show all</a>` })
        : empty({ icon: "live", title: "Nothing is waiting or running", text: "Every accepted job has ended." });
    }
    return html`${jobsTable(this.jobs, { linksOwners: true })}${this.cursor ? html`<div class="more"><button class="button" ?disabled=${this.isReadingMore} @click=${this.#more}>Show more</button></div>` : nothing}`;
  }
}
