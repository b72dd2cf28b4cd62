/** What operators did, newest first. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { ownerOf } from "../lib/admin.js";
import { BULK_ACTION } from "../lib/bulk.js";
import { shortId, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { copyButton, empty, failure, icon, idOf, loading } from "../lib/ui.js";

/** @import { AuditRecord } from "../answers.js" */

/** @type {Record<string, string>} */
const WORDS = {
  "job.cancel": "Cancelled a job",
  "job.retry": "Retried a job",
  "job.delete": "Deleted a job",
  "job.input": "Read the input of a job",
  "job.result": "Read the result of a job",
  "queue.pause": "Paused a queue",
  "queue.resume": "Resumed a queue",
  "type.pause": "Paused a job type",
  "type.resume": "Resumed a job type",
  "dead-letters.redrive": "Redrove dead letters",
  "bulk.retry": "Retried jobs",
  "bulk.cancel": "Cancelled jobs",
  "bulk.delete": "Deleted jobs",
  "bulk.retry.end": "Ended retrying jobs",
  "bulk.cancel.end": "Ended cancelling jobs",
  "bulk.delete.end": "Ended deleting jobs",
};

export class Audit extends Page {
  title = "Audit";
  /** @type {AuditRecord[]} */ records = [];
  /** @type {string | null} */ cursor = null;

  /** @param {AbortSignal} signal */
  async read(signal) {
    const { records, nextCursor } = await this.app.api.get("admin/audit", { signal });
    [this.records, this.cursor] = [records, nextCursor];
  }

  #more = () =>
    this.showMore(async (signal) => {
      const { records, nextCursor } = await this.app.api.get("admin/audit", { query: { cursor: this.cursor }, signal });
      [this.records, this.cursor] = [[...this.records, ...records], nextCursor];
    }, "Older records are shown");

  #export = () =>
    this.act(async () => {
      const text = await this.app.api.text("admin/audit", { query: { limit: 100 }, headers: { accept: "text/csv" } });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = `audit-${new Date().toISOString().slice(0, 10)}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }, "The newest 100 records are exported");

  view() {
    return html`<div class="page-head"><h1 tabindex="-1">Audit</h1>${this.records.length ? html`<button class="button" @click=${this.#export}>${icon("download")}Export as CSV</button>` : nothing}</div>
      ${this.#content()}`;
  }

  #content() {
    if (this.error) return failure(this.error, this.reload);
    if (this.isLoading) return loading();
    if (!this.records.length) return empty({ icon: "audit", title: "No operator has done anything yet", text: "Each action on a job of another user, and each look at its content, is recorded here." });
    return html`<div class="table-frame"><table class="table audit">
        <thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Of</th><th scope="col" class="wide-only">Request</th></tr></thead>
        <tbody>${this.records.map(
          (each) => html`<tr>
            <td class="quiet">${time(each.at)}</td>
            <td>${ownerOf(each.actor)}</td>
            <td>${WORDS[each.action] ?? each.action}${each.count > 1 ? html` <span class="tag">${each.count}</span>` : nothing}</td>
            <td class="clip">${each.jobType === BULK_ACTION ? html`<a href="actions/${each.asyncJobId}">${subjectOf(each.filter)}</a>` : each.asyncJobId && each.owner ? html`<a href="operate/${each.asyncJobId}?owner=${encodeURIComponent(each.owner)}">${each.jobType ?? "Job"}</a> ${idOf(each.asyncJobId)}` : html`<span class="quiet">${each.jobType ?? subjectOf(each.filter)}</span>`}</td>
            <td class="wide-only">${copyButton(each.requestId, "Copy the request id")}</td>
          </tr>`,
        )}</tbody></table></div>
      ${this.cursor ? html`<div class="more"><button class="button" ?disabled=${this.isReadingMore} @click=${this.#more}>Show older records</button></div>` : nothing}`;
  }
}

/**
 * What an action was about that was about no single job or type.
 * @param {Record<string, any> | null} filter
 */
function subjectOf(filter) {
  if (!filter) return "";
  const { queue, failed, live, jobs } = filter;
  if (queue) return queue;
  if (failed) return [failed.jobType, failed.code].join(" · ");
  if (live) return [live.owner && `owner ${shortId(live.owner)}`, live.jobType, live.priority, live.status].filter(Boolean).join(" · ") || "Live jobs";
  return jobs ? "Selected jobs" : "";
}
