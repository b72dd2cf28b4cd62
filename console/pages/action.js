/** What became of each job of an action on many: also of another operator's, and as long as the audit log is kept. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { jobPath, ownerOf } from "../lib/admin.js";
import { reasons, sumOf } from "../lib/bulk.js";
import { count } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { copyButton, empty, failure, icon, loading } from "../lib/ui.js";

/** @typedef {{ asyncJobId: string, owner: string, outcome: string }} Outcome */

/** Pages that are empty until one has an outcome. */
const EMPTY_PAGES = 5;

export class Action extends Page {
  title = "Action";
  /** @type {Outcome[]} */ outcomes = [];
  /** Of the outcomes that were read. @type {Map<string, number>} */ counts = new Map();
  /** @type {string | null} */ cursor = null;

  get id() {
    return place().parts[1] ?? "";
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.outcomes = await this.#readFrom(null, signal);
  }

  #more = () =>
    this.showMore(async (signal) => {
      this.outcomes = [...this.outcomes, ...(await this.#readFrom(this.cursor, signal))];
    }, "More outcomes are shown");

  /**
   * @param {string | null} cursor
   * @param {AbortSignal} signal
   * @returns {Promise<Outcome[]>}
   */
  async #readFrom(cursor, signal) {
    for (let pages = 0; ; pages += 1) {
      const query = { cursor: cursor ?? undefined };
      const { outcomes, counts, nextCursor } = await this.app.api.get(`admin/bulk-actions/${encodeURIComponent(this.id)}`, { query, signal });
      // Behind the last part that has ended, there are no counts.
      if (outcomes.length) this.counts = new Map(Object.entries(counts));
      [this.cursor, cursor] = [nextCursor, nextCursor];
      if (outcomes.length || !nextCursor || pages >= EMPTY_PAGES) return outcomes;
    }
  }

  view() {
    return html`<nav class="crumbs" aria-label="Place"><a href="audit">Audit</a>${icon("next")}${copyButton(this.id, `Copy the action's id ${this.id}`, html`<code>${this.id}</code>`)}</nav>
      <div class="page-head"><h1 tabindex="-1">Action on many jobs</h1></div>
      ${this.#content()}`;
  }

  #content() {
    if (this.error?.status === 404) return empty({ icon: "audit", title: "There are no outcomes", text: "The action has just been started, or its outcomes have expired with the audit log." });
    if (this.error) return failure(this.error, this.reload);
    if (this.isLoading) return loading();
    if (!this.outcomes.length) return empty({ icon: "audit", title: "No job was selected, or none is done yet", action: html`<button class="button" @click=${this.reload}>Look again</button>` });
    return html`<p class="lead"><strong>${count(this.counts.get("DONE") ?? 0)}</strong> of ${count(sumOf(this.counts))} jobs done</p>${reasons(this.counts)}
      <div class="table-frame"><table class="table outcomes">
        <thead><tr><th scope="col">Job</th><th scope="col" class="wide-only">Owner</th><th scope="col">Outcome</th></tr></thead>
        <tbody>${this.outcomes.map(
          (each) => html`<tr>
            <td class="type-cell"><a class="row-link" href=${jobPath(each)}><code>${each.asyncJobId}</code></a></td>
            <td class="id-cell wide-only">${ownerOf(each.owner)}</td>
            <td><code class="code-word">${each.outcome}</code></td>
          </tr>`,
        )}</tbody></table></div>
      ${this.cursor ? html`<div class="more"><button class="button" ?disabled=${this.isReadingMore} @click=${this.#more}>Show more</button></div>` : nothing}`;
  }
}
